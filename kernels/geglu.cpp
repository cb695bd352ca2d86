#include "kernels/geglu.h"

#include <ATen/ATen.h>

#include <stdexcept>

namespace brume::kernels {

at::Tensor geglu(const at::Tensor& x) {
  if (x.dim() < 1 || x.size(-1) % 2 != 0)
    throw std::invalid_argument("geglu: the last dimension must be even");
  const std::vector<at::Tensor> halves = x.chunk(2, -1);  // value, gate
  return halves[0] * at::gelu(halves[1]);
}

}  // namespace brume::kernels

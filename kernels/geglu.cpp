#include "kernels/geglu.h"

#include <ATen/ATen.h>

#include <stdexcept>

#include "kernels/cpu/machine_for.h"
#include "kernels/geglu_cpu.h"

namespace brume::kernels {

at::Tensor geglu(const at::Tensor& x) {
  if (x.dim() < 1 || x.size(-1) % 2 != 0)
    throw std::invalid_argument("geglu: the last dimension must be even");
  if (cpu::has_kernels(x)) return geglu_cpu(cpu::machine(), x);
  const std::vector<at::Tensor> halves = x.chunk(2, -1);  // value, gate
  return halves[0] * at::gelu(halves[1]);
}

}  // namespace brume::kernels

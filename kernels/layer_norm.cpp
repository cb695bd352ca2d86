#include "kernels/layer_norm.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <sstream>
#include <stdexcept>

#include "kernels/cpu/machine_for.h"
#include "kernels/gpu/operations.h"
#include "kernels/layer_norm_cpu.h"

namespace brume::kernels {

namespace {

void check(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool fits =
      x.dim() >= 1 && weight.sizes() == at::IntArrayRef{x.size(-1)} && bias.sizes() == weight.sizes();
  if (fits) return;
  std::ostringstream text;
  text << "layer_norm: x [..., D], weight and bias [D] expected, got " << x.sizes() << ", " << weight.sizes()
       << ", " << bias.sizes();
  throw std::invalid_argument(text.str());
}

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  check(x, weight, bias);
  RECORD_FUNCTION("brume::layer_norm", std::vector<c10::IValue>({x}));
  if (x.is_cuda()) return gpu::layer_norm(x, weight, bias, eps);
  if (cpu::has_kernels(x)) return layer_norm_cpu(cpu::machine(), x, weight, bias, eps);
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

}  // namespace brume::kernels

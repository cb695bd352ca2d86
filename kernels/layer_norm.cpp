#include "kernels/layer_norm.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <sstream>
#include <stdexcept>
#include <utility>

#include "kernels/cpu/machine_for.h"
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
  if (cpu::has_kernels(x)) return layer_norm_cpu(cpu::machine(), x, {}, weight, bias, eps).norm;
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

SumAndNorm layer_norm_of_sum(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                             const at::Tensor& bias, double eps) {
  check(x, weight, bias);
  RECORD_FUNCTION("brume::layer_norm", std::vector<c10::IValue>({x}));
  if (x.sizes() != residual.sizes() || x.scalar_type() != residual.scalar_type())
    throw std::invalid_argument("layer_norm_of_sum: x and residual differ in shape or dtype");
  if (cpu::has_kernels(x)) return layer_norm_cpu(cpu::machine(), x, residual, weight, bias, eps);
  at::Tensor sum = x + residual;
  at::Tensor norm = layer_norm(sum, weight, bias, eps);
  return {std::move(sum), std::move(norm)};
}

}  // namespace brume::kernels

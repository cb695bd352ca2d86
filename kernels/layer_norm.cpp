#include "kernels/layer_norm.h"

#include <ATen/ATen.h>

#include <sstream>
#include <stdexcept>
#include <utility>

namespace brume::kernels {

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const bool fits =
      x.dim() >= 1 && weight.sizes() == at::IntArrayRef{x.size(-1)} && bias.sizes() == weight.sizes();
  if (!fits) {
    std::ostringstream text;
    text << "layer_norm: x [..., D], weight and bias [D] expected, got " << x.sizes() << ", "
         << weight.sizes() << ", " << bias.sizes();
    throw std::invalid_argument(text.str());
  }
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

SumAndNorm layer_norm_of_sum(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                             const at::Tensor& bias, double eps) {
  if (x.sizes() != residual.sizes())
    throw std::invalid_argument("layer_norm_of_sum: x and residual differ in shape");
  at::Tensor sum = x + residual;
  at::Tensor norm = layer_norm(sum, weight, bias, eps);
  return {std::move(sum), std::move(norm)};
}

}  // namespace brume::kernels

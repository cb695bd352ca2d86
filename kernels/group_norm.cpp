#include "kernels/group_norm.h"

#include <ATen/ATen.h>

#include <sstream>
#include <stdexcept>

namespace brume::kernels {

at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      const GroupNormSettings& settings) {
  const bool fits = x.dim() >= 2 && settings.groups > 0 && x.size(1) % settings.groups == 0 &&
                    weight.sizes() == at::IntArrayRef{x.size(1)} && bias.sizes() == weight.sizes();
  if (!fits) {
    std::ostringstream text;
    text << "group_norm: x [N, C, ...] with C a multiple of " << settings.groups
         << ", weight and bias [C] expected, got " << x.sizes() << ", " << weight.sizes() << ", "
         << bias.sizes();
    throw std::invalid_argument(text.str());
  }
  at::Tensor y = at::group_norm(x, settings.groups, weight, bias, settings.eps);
  return settings.activation == Activation::kSilu ? at::silu_(y) : y;
}

}  // namespace brume::kernels

#include "brume/diffusion/guidance.h"

#include <ATen/ATen.h>

namespace brume {

at::Tensor compose(const at::Tensor& negative, const std::vector<at::Tensor>& parts,
                   const std::vector<double>& weights) {
  if (parts.size() == 1 && weights.front() == 1) return parts.front();
  at::Tensor composed = negative;
  for (size_t i = 0; i < parts.size(); ++i) composed = composed + weights[i] * (parts[i] - negative);
  return composed;
}

at::Tensor guide(const at::Tensor& negative, const at::Tensor& positive, const GuidanceSettings& settings) {
  at::Tensor guided = negative + settings.scale * (positive - negative);
  if (settings.rescale <= 0) return guided;
  // Give the result the contrast of the unguided prediction, then mix both: full rescaling looks plain.
  const at::Tensor wanted = positive.std({1, 2, 3}, /*unbiased=*/true, /*keepdim=*/true);  // [N, 1, 1, 1]
  const at::Tensor actual = guided.std({1, 2, 3}, /*unbiased=*/true, /*keepdim=*/true);
  return settings.rescale * (guided * (wanted / actual)) + (1 - settings.rescale) * guided;
}

}  // namespace brume

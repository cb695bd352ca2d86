#include "brume/diffusion/guidance.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "mimic.h"

namespace brume {

namespace {

/// Its first step, as diffusers cuts it off.
int64_t step_of(double share, int64_t steps) {
  return static_cast<int64_t>(share * static_cast<double>(steps));
}

at::Tensor away_from_negative(const Predictions& predictions, const GuidanceSettings& settings,
                              const GuidedPoint& point) {
  if (settings.mimic) return mimicked(predictions, settings.scale, *settings.mimic, point);
  const at::Tensor& negative = predictions.negative;
  const at::Tensor towards = settings.scale * (predictions.positive - negative);
  if (!predictions.blank.defined()) return negative + towards;
  return predictions.blank + towards + settings.image_scale.value_or(1) * (negative - predictions.blank);
}

}  // namespace

bool GuidanceInterval::holds(int64_t step, int64_t steps) const {
  return step_of(start, steps) <= step && step < step_of(end, steps);
}

int64_t GuidanceInterval::length(int64_t steps) const {
  return std::max<int64_t>(0, step_of(end, steps) - step_of(start, steps));
}

double PerturbedGuidance::scale_at(double timestep) const {
  constexpr double kTimesteps = 1000;
  if (adaptive_scale <= 0) return scale;
  return std::max(0.0, scale - adaptive_scale * (kTimesteps - timestep));
}

double GuidanceSettings::rows(int64_t steps) const {
  const double guided =
      active() ? static_cast<double>(interval.length(steps)) / static_cast<double>(steps) : 0;
  return 1 + guided * (guided_by_image() ? 2 : 1) + (perturbed.active() ? 1 : 0);
}

at::Tensor compose(const at::Tensor& negative, const std::vector<at::Tensor>& parts,
                   const std::vector<double>& weights) {
  if (parts.size() == 1 && weights.front() == 1) return parts.front();
  at::Tensor composed = negative;
  for (size_t i = 0; i < parts.size(); ++i) composed = composed + weights[i] * (parts[i] - negative);
  return composed;
}

at::Tensor guide(const Predictions& predictions, const GuidanceSettings& settings, const GuidedPoint& point) {
  const at::Tensor& positive = predictions.positive;
  const bool guided_by_words = predictions.negative.defined();
  at::Tensor guided = guided_by_words ? away_from_negative(predictions, settings, point) : positive;
  if (predictions.perturbed.defined())
    guided = guided + settings.perturbed.scale_at(point.level.timestep) * (positive - predictions.perturbed);
  if (!guided_by_words || settings.rescale <= 0) return guided;
  // Give the result the contrast of the unguided prediction, then mix both: full rescaling looks plain.
  const at::Tensor wanted = positive.std({1, 2, 3}, /*unbiased=*/true, /*keepdim=*/true);  // [N, 1, 1, 1]
  const at::Tensor actual = guided.std({1, 2, 3}, /*unbiased=*/true, /*keepdim=*/true);
  return settings.rescale * (guided * (wanted / actual)) + (1 - settings.rescale) * guided;
}

}  // namespace brume

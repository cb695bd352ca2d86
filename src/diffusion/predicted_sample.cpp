#include <ATen/ATen.h>

#include <cmath>

#include "brume/diffusion/samplers.h"
#include "row_quantile.h"

namespace brume {

at::Tensor thresholded(const at::Tensor& sample, const SampleLimits& limits) {
  const at::Tensor flat = sample.flatten(1);
  const at::Tensor bound =
      row_quantile(flat.abs(), limits.threshold_quantile).clamp(1.0, limits.threshold_most);  // [N, 1]
  return (at::maximum(at::minimum(flat, bound), -bound) / bound).view(sample.sizes());
}

at::Tensor unlimited_sample(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                            const at::Tensor& latents) {
  const float alpha = schedule.alpha_cumprod(t);
  const float signal = std::sqrt(alpha);
  const float noise = std::sqrt(1 - alpha);
  switch (schedule.config().prediction) {
    case Prediction::kEpsilon:
      return (latents - noise * prediction) / signal;
    case Prediction::kV:
      return signal * latents - noise * prediction;
    case Prediction::kSample:
      break;
  }
  return prediction;
}

at::Tensor predicted_sample(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                            const at::Tensor& latents, bool usual_clip) {
  const SampleLimits& limits = schedule.config().limits;
  at::Tensor sample = unlimited_sample(schedule, prediction, t, latents);
  if (limits.dynamic_threshold) return thresholded(sample, limits);
  if (limits.clip.value_or(usual_clip)) return sample.clamp(-limits.clip_range, limits.clip_range);
  return sample;
}

at::Tensor predicted_noise(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                           const at::Tensor& latents) {
  const float alpha = schedule.alpha_cumprod(t);
  const float signal = std::sqrt(alpha);
  const float noise = std::sqrt(1 - alpha);
  switch (schedule.config().prediction) {
    case Prediction::kV:
      return signal * prediction + noise * latents;
    case Prediction::kSample:
      return (latents - signal * prediction) / noise;
    case Prediction::kEpsilon:
      break;
  }
  return prediction;
}

}  // namespace brume

#include <ATen/ATen.h>

#include <cmath>

#include "brume/diffusion/samplers.h"

namespace brume {

namespace {

/// Imagen's dynamic thresholding: each picture is clamped to its own quantile of absolute values, then scaled
/// back.
at::Tensor threshold(const at::Tensor& sample, const SampleLimits& limits) {
  const at::Tensor flat = sample.flatten(1);
  const at::Tensor bound = at::quantile(flat.abs(), limits.threshold_quantile, 1)
                               .clamp(1.0, limits.threshold_most)
                               .unsqueeze(1);  // [N, 1]
  return (at::maximum(at::minimum(flat, bound), -bound) / bound).view(sample.sizes());
}

at::Tensor unlimited(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
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

}  // namespace

at::Tensor predicted_sample(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                            const at::Tensor& latents) {
  const SampleLimits& limits = schedule.config().limits;
  at::Tensor sample = unlimited(schedule, prediction, t, latents);
  if (limits.dynamic_threshold) return threshold(sample, limits);
  if (limits.clip) return sample.clamp(-limits.clip_range, limits.clip_range);
  return sample;
}

}  // namespace brume

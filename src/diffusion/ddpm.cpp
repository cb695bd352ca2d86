#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "brume/diffusion/samplers.h"

namespace brume {

namespace {

/// Standard deviation of the noise of a step: equations 6 and 7, or their upper bound beta.
float deviation(Variance kind, float alpha, float alpha_previous) {
  const float beta = 1 - alpha / alpha_previous;
  const float small = std::max((1 - alpha_previous) / (1 - alpha) * beta, 1e-20F);
  switch (kind) {
    case Variance::kFixedLarge:
      return std::sqrt(beta);
    case Variance::kFixedSmallLog:
      return std::exp(0.5F * std::log(small));
    case Variance::kFixedSmall:
      break;
  }
  return std::sqrt(small);
}

}  // namespace

at::Tensor ddpm_step(const NoiseSchedule& schedule, const DdpmStep& step, const at::Tensor& prediction,
                     const at::Tensor& latents, const at::Tensor& noise) {
  const float alpha = schedule.alpha_cumprod(step.t);
  const float alpha_previous = step.previous >= 0 ? schedule.alpha_cumprod(step.previous) : 1.0F;
  const float alpha_step = alpha / alpha_previous;
  const at::Tensor sample = predicted_sample(schedule, prediction, step.t, latents);
  const float sample_weight = std::sqrt(alpha_previous) * (1 - alpha_step) / (1 - alpha);
  const float latents_weight = std::sqrt(alpha_step) * (1 - alpha_previous) / (1 - alpha);
  at::Tensor next = sample_weight * sample + latents_weight * latents;
  if (step.t > 0) next += deviation(schedule.config().variance, alpha, alpha_previous) * noise;
  return next;
}

}  // namespace brume

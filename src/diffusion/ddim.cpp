#include <ATen/ATen.h>

#include <cmath>

#include "brume/diffusion/samplers.h"

namespace brume {

at::Tensor ddim_step(const NoiseSchedule& schedule, const DdimStep& step, const at::Tensor& prediction,
                     const at::Tensor& latents, const at::Tensor& noise) {
  const float alpha = schedule.alpha_cumprod(step.t);
  const float alpha_previous = schedule.alpha_cumprod_or_final(step.previous);
  const float variance = (1 - alpha_previous) / (1 - alpha) * (1 - alpha / alpha_previous);
  const float sigma = static_cast<float>(step.eta) * std::sqrt(variance);
  const at::Tensor sample = predicted_sample(schedule, prediction, step.t, latents);
  const at::Tensor direction =
      std::sqrt(1 - alpha_previous - sigma * sigma) * predicted_noise(schedule, prediction, step.t, latents);
  at::Tensor next = std::sqrt(alpha_previous) * sample + direction;
  if (step.eta > 0) next += sigma * noise;
  return next;
}

}  // namespace brume

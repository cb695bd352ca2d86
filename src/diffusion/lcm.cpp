#include <ATen/ATen.h>

#include <cmath>

#include "brume/diffusion/samplers.h"

namespace brume {

at::Tensor lcm_step(const NoiseSchedule& schedule, const ConsistencyStep& step, const at::Tensor& prediction,
                    const at::Tensor& latents, const at::Tensor& noise) {
  // The boundary condition of the consistency function, with the paper's sigma_data.
  constexpr double kSigmaData = 0.5;
  constexpr double kTimestepScaling = 10;
  const double scaled = static_cast<double>(step.t) * kTimestepScaling;
  const double root = std::sqrt(scaled * scaled + kSigmaData * kSigmaData);
  const double skip = kSigmaData * kSigmaData / (root * root);
  const at::Tensor sample = predicted_sample(schedule, prediction, step.t, latents, /*usual_clip=*/false);
  at::Tensor denoised = scaled / root * sample + skip * latents;
  if (step.last) return denoised;
  const double alpha = schedule.alpha_cumprod(step.previous);
  return std::sqrt(alpha) * denoised + std::sqrt(1 - alpha) * noise;
}

at::Tensor tcd_step(const NoiseSchedule& schedule, const ConsistencyStep& step, const at::Tensor& prediction,
                    const at::Tensor& latents, const at::Tensor& noise) {
  const double alpha_previous = schedule.alpha_cumprod(step.previous);
  const auto below = static_cast<int64_t>((1 - step.eta) * static_cast<double>(step.previous));
  const double alpha_below = schedule.alpha_cumprod(below);
  const at::Tensor sample = unlimited_sample(schedule, prediction, step.t, latents);
  at::Tensor less = std::sqrt(alpha_below) * sample +
                    std::sqrt(1 - alpha_below) * predicted_noise(schedule, prediction, step.t, latents);
  if (step.eta == 0 || step.last) return less;
  const double kept = alpha_previous / alpha_below;
  return std::sqrt(kept) * less + std::sqrt(1 - kept) * noise;
}

}  // namespace brume

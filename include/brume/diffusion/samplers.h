#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "brume/diffusion/noise_schedule.h"

namespace brume {

enum class Sampler { kDdim, kDdpm };

/// By any of the names people type: "ddim", "DDIM", "DDIMScheduler". Throws kUsage with the list of names.
Sampler sampler_from_name(std::string_view name);
std::string_view sampler_name(Sampler sampler);

/// A guided prediction for latents [N, C, H, W] at a timestep; the same shape.
using Denoiser = std::function<at::Tensor(const at::Tensor& latents, int64_t timestep)>;
/// Fresh standard normal noise of the latents' shape.
using NoiseSource = std::function<at::Tensor()>;
/// Called with the latents after each step (0, 1, ...); returns false to stop there.
using StepObserver = std::function<bool(int64_t step, const at::Tensor& latents)>;

struct SamplingSettings {
  Sampler sampler = Sampler::kDdim;
  int64_t steps = 20;
  double eta = 0;  // DDIM only: 0 is deterministic, 1 adds DDPM's noise
};

/// The clean sample that a prediction at timestep t means, kept in the schedule's limits. [N, C, H, W]
at::Tensor predicted_sample(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                            const at::Tensor& latents);

/// One step of "Denoising Diffusion Implicit Models" (Song et al. 2020), equation 12, from timestep t to
/// `previous` (negative: the finished picture). `noise` is used where eta > 0 only. Mirrors diffusers'
/// DDIMScheduler.step.
struct DdimStep {
  int64_t t;
  int64_t previous;
  double eta;
};
at::Tensor ddim_step(const NoiseSchedule& schedule, const DdimStep& step, const at::Tensor& prediction,
                     const at::Tensor& latents, const at::Tensor& noise);

/// One step of "Denoising Diffusion Probabilistic Models" (Ho et al. 2020), equation 7, from timestep t to
/// `previous` (negative: the finished picture). `noise` is used where t > 0 only. Mirrors diffusers'
/// DDPMScheduler.step.
struct DdpmStep {
  int64_t t;
  int64_t previous;
};
at::Tensor ddpm_step(const NoiseSchedule& schedule, const DdpmStep& step, const at::Tensor& prediction,
                     const at::Tensor& latents, const at::Tensor& noise);

/// Runs the whole loop from pure noise [N, C, H, W] fp32 to clean latents. Noise is drawn only in steps that
/// use it.
at::Tensor sample(const NoiseSchedule& schedule, const SamplingSettings& settings, at::Tensor latents,
                  const Denoiser& denoise, const NoiseSource& noise, const StepObserver& observe);

}  // namespace brume

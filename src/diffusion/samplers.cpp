#include "brume/diffusion/samplers.h"

#include <ATen/ATen.h>

#include <array>
#include <string>

#include "brume/base/error.h"

namespace brume {

namespace {

struct SamplerNames {
  Sampler sampler;
  std::string_view ours;
  std::string_view display;    // A1111's
  std::string_view reference;  // diffusers' class
};

constexpr std::array<SamplerNames, 2> kSamplers = {{
    {Sampler::kDdim, "ddim", "DDIM", "DDIMScheduler"},
    {Sampler::kDdpm, "ddpm", "DDPM", "DDPMScheduler"},
}};

}  // namespace

Sampler sampler_from_name(std::string_view name) {
  std::string known;
  for (const SamplerNames& one : kSamplers) {
    if (name == one.ours || name == one.display || name == one.reference) return one.sampler;
    known += (known.empty() ? "" : ", ") + std::string(one.ours);
  }
  throw Error(ExitCode::kUsage, "--sampling-method " + std::string(name), "unknown sampler",
              "choose one of " + known);
}

std::string_view sampler_name(Sampler sampler) {
  for (const SamplerNames& one : kSamplers) {
    if (one.sampler == sampler) return one.ours;
  }
  return "unknown";
}

at::Tensor sample(const NoiseSchedule& schedule, const SamplingSettings& settings, at::Tensor latents,
                  const Denoiser& denoise, const NoiseSource& noise, const StepObserver& observe) {
  const std::vector<int64_t> timesteps = schedule.timesteps(settings.steps);
  const int64_t stride = schedule.config().train_timesteps / settings.steps;
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const at::Tensor prediction = denoise(latents, t);
    if (settings.sampler == Sampler::kDdim) {
      const at::Tensor fresh = settings.eta > 0 ? noise() : at::Tensor();
      latents = ddim_step(schedule, {t, t - stride, settings.eta}, prediction, latents, fresh);
    } else {
      const int64_t previous = i + 1 < timesteps.size() ? timesteps[i + 1] : -1;
      latents = ddpm_step(schedule, {t, previous}, prediction, latents, t > 0 ? noise() : at::Tensor());
    }
    if (!observe(static_cast<int64_t>(i), latents)) break;
  }
  return latents;
}

}  // namespace brume

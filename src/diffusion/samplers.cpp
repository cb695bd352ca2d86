#include "brume/diffusion/samplers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "brume/diffusion/sigma_samplers.h"
#include "sampler_traits.h"

namespace brume {

namespace {

SigmaSchedule schedule_of(const NoiseSchedule& schedule, const SamplingSettings& settings) {
  if (!settings.sigmas.empty()) return sigma_schedule_from_text(schedule, settings.sigmas);
  const SamplerTraits& traits = traits_of(settings.sampler);
  // PLMS ends where ddim does.
  const bool to_least = settings.sampler == Sampler::kPlms && !schedule.config().final_alpha_one;
  return sigma_schedule(schedule, {.steps = settings.steps,
                                   .spacing = settings.spacing,
                                   .grid = traits.grid,
                                   .last = to_least ? LastSigma::kLeast : traits.last,
                                   .whole_karras = traits.whole_karras,
                                   .unsaid = traits.unsaid});
}

/// The clean sample, for x = picture + sigma noise.
at::Tensor denoised_of(const NoiseSchedule& schedule, const at::Tensor& prediction, const at::Tensor& x,
                       double sigma) {
  const double power = sigma * sigma + 1;
  switch (schedule.config().prediction) {
    case Prediction::kV:
      return x / power - prediction * (sigma / std::sqrt(power));
    case Prediction::kSample:
      return prediction;
    case Prediction::kEpsilon:
      break;
  }
  return x - sigma * prediction;
}

double preserving(double sigma) { return std::sqrt(sigma * sigma + 1); }

/// Standard deviation of what a walk begins with. diffusers begins with the noise alone where the model's
/// timesteps begin at the last one.
double first_deviation(const NoiseSchedule& schedule, const SamplerTraits& traits, double sigma) {
  const bool leading = schedule.config().spacing == TimestepSpacing::kLeading;
  return traits.scale == Scale::kPreserving || leading ? preserving(sigma) : sigma;
}

/// What the network sees of `x`. The samplers know of no mask: they work on each value alone, so that it is
/// enough to give the kept part to the network and to those who look on. Before its first step a walk is what
/// it begins with, as in diffusers. In steps of two calls the second sees the kept part at its own level;
/// diffusers' KDPM2 schedulers give it the noise of the step's end there.
at::Tensor seen(const Beginning& beginning, const at::Tensor& x, double sigma,
                const std::optional<int64_t>& place) {
  return beginning.kept && place != 0 ? beginning.kept->around(x, 1, sigma) : x;
}

/// The part of a schedule that is walked.
SigmaSchedule from_step(SigmaSchedule schedule, int64_t first) {
  schedule.sigmas.erase(schedule.sigmas.begin(), schedule.sigmas.begin() + first);
  schedule.timesteps.erase(schedule.timesteps.begin(), schedule.timesteps.begin() + first);
  return schedule;
}

at::Tensor sample_by_sigma(const NoiseSchedule& schedule, const SamplingSettings& settings,
                           const Beginning& beginning, const Denoiser& denoise, const NoiseSource& noise,
                           const StepObserver& observe) {
  const SamplerTraits& traits = traits_of(settings.sampler);
  const SigmaSchedule sigmas = from_step(schedule_of(schedule, settings), settings.first_step);
  const SampleLimits& limits = schedule.config().limits;
  const bool thresholds = traits.thresholds && limits.dynamic_threshold;
  const auto denoised = [&](const at::Tensor& walked, double sigma, std::optional<int64_t> place) {
    const at::Tensor x = seen(beginning, walked, sigma, place);
    const bool known = place && *place < static_cast<int64_t>(sigmas.timesteps.size());
    const double timestep =
        known ? sigmas.timesteps[static_cast<size_t>(*place)] : timestep_at(schedule, sigma);
    const NetworkOutput output = denoise(x / preserving(sigma), {timestep, sigma});
    const at::Tensor guided = denoised_of(schedule, output.guided, x, sigma);
    return Denoised{thresholds ? thresholded(guided, limits) : guided,
                    denoised_of(schedule, output.negative, x, sigma)};
  };
  const auto arrive = [&](int64_t step, const at::Tensor& x) {
    const double sigma = sigmas.sigmas[static_cast<size_t>(step) + 1];
    const double scale = traits.scale == Scale::kPreserving ? preserving(sigma) : 1;
    const at::Tensor latents = traits.scale == Scale::kPreserving ? x / scale : x;
    if (!beginning.kept) return observe(step, latents);
    const bool last = static_cast<size_t>(step) + 1 == sigmas.timesteps.size();
    return observe(step, last ? beginning.kept->around(latents)
                              : beginning.kept->around(latents, 1 / scale, sigma / scale));
  };
  const double sigma = sigmas.sigmas.front();
  const at::Tensor x = beginning.picture.defined()
                           ? beginning.picture + beginning.noise * sigma
                           : beginning.noise * first_deviation(schedule, traits, sigma);
  const at::Tensor last =
      traits.walk(x, {sigmas.sigmas, denoised, noise, arrive, settings.eta, settings.first_step});
  const at::Tensor latents = last / preserving(sigmas.sigmas.back());
  return beginning.kept ? beginning.kept->around(latents) : latents;
}

/// A picture with the noise of a timestep, of unit variance together. Mirrors add_noise of diffusers'
/// schedulers.
at::Tensor noised(const NoiseSchedule& schedule, const Beginning& beginning, int64_t t) {
  const float alpha = schedule.alpha_cumprod(t);
  return std::sqrt(alpha) * beginning.picture + std::sqrt(1 - alpha) * beginning.noise;
}

/// Latents with the kept part as it is when the network looks next: under the noise of `next`, or under none.
at::Tensor with_kept(const NoiseSchedule& schedule, const Beginning& beginning, const at::Tensor& latents,
                     const std::optional<int64_t>& next) {
  if (!beginning.kept) return latents;
  if (!next) return beginning.kept->around(latents);
  const float alpha = schedule.alpha_cumprod(*next);
  return beginning.kept->around(latents, std::sqrt(alpha), std::sqrt(1 - alpha));
}

at::Tensor sample_by_timestep(const NoiseSchedule& schedule, const SamplingSettings& settings,
                              const Beginning& beginning, const Denoiser& denoise, const NoiseSource& noise,
                              const StepObserver& observe) {
  const bool distilled = settings.sampler == Sampler::kLcm || settings.sampler == Sampler::kTcd;
  const std::vector<int64_t> timesteps =
      distilled ? schedule.distilled_timesteps(settings.steps) : schedule.timesteps(settings.steps);
  const int64_t stride = schedule.config().train_timesteps / settings.steps;
  const auto first = static_cast<size_t>(settings.first_step);
  at::Tensor latents =
      beginning.picture.defined() ? noised(schedule, beginning, timesteps[first]) : beginning.noise;
  for (size_t i = first; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const bool last = i + 1 == timesteps.size();
    const at::Tensor prediction =
        denoise(latents, {static_cast<double>(t), sigma_at(schedule, static_cast<double>(t))}).guided;
    const auto fresh = [&](bool wanted) { return wanted ? noise() : at::Tensor(); };
    switch (settings.sampler) {
      case Sampler::kDdpm:
        latents = ddpm_step(schedule, {t, last ? -1 : timesteps[i + 1]}, prediction, latents, fresh(t > 0));
        break;
      case Sampler::kLcm:
        latents =
            lcm_step(schedule, {t, last ? 0 : timesteps[i + 1], last, 0}, prediction, latents, fresh(!last));
        break;
      case Sampler::kTcd:
        latents = tcd_step(schedule, {t, last ? 0 : timesteps[i + 1], last, settings.eta}, prediction,
                           latents, fresh(!last && settings.eta > 0));
        break;
      default:
        latents =
            ddim_step(schedule, {t, t - stride, settings.eta}, prediction, latents, fresh(settings.eta > 0));
        break;
    }
    latents = with_kept(schedule, beginning, latents,
                        last ? std::nullopt : std::optional<int64_t>(timesteps[i + 1]));
    if (!observe(static_cast<int64_t>(i - first), latents)) break;
  }
  return latents;
}

}  // namespace

int64_t first_step_of(int64_t steps, double strength) {
  return steps - std::min(static_cast<int64_t>(static_cast<double>(steps) * strength), steps);
}
int64_t network_calls(const SamplingSettings& settings) {
  const int64_t steps = settings.steps_taken();
  if (traits_of(settings.sampler).two_calls) return 2 * steps - 1;
  const bool begins_twice = settings.sampler == Sampler::kPlms && steps > 1;
  return steps + (begins_twice ? 1 : 0);
}

void check_sampling(const NoiseSchedule& schedule, const SamplingSettings& settings) {
  if (takes_spacing(settings.sampler))
    schedule_of(schedule, settings);
  else if (settings.sampler == Sampler::kLcm || settings.sampler == Sampler::kTcd)
    schedule.distilled_timesteps(settings.steps);
  else
    schedule.timesteps(settings.steps);
}

/// What a walk asks for does not hang on the answers: it is walked with one value for a picture.
std::vector<double> network_timesteps(const NoiseSchedule& schedule, const SamplingSettings& settings) {
  std::vector<double> timesteps;
  const auto nothing = [] { return at::zeros({1, 1, 1, 1}); };
  const auto ask = [&](const at::Tensor& latents, const NoiseLevel& level) {
    if (std::find(timesteps.begin(), timesteps.end(), level.timestep) == timesteps.end())
      timesteps.push_back(level.timestep);
    return NetworkOutput{latents, latents};
  };
  sample(schedule, settings, {nothing()}, ask, nothing,
         [](int64_t /*step*/, const at::Tensor& /*latents*/) { return true; });
  return timesteps;
}

at::Tensor sample(const NoiseSchedule& schedule, const SamplingSettings& settings, const Beginning& beginning,
                  const Denoiser& denoise, const NoiseSource& noise, const StepObserver& observe) {
  return takes_spacing(settings.sampler)
             ? sample_by_sigma(schedule, settings, beginning, denoise, noise, observe)
             : sample_by_timestep(schedule, settings, beginning, denoise, noise, observe);
}

}  // namespace brume

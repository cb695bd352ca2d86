#include "brume/diffusion/samplers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "brume/base/error.h"
#include "brume/diffusion/sigma_samplers.h"
#include "folded_name.h"

namespace brume {

namespace {

using WalkFunction = at::Tensor (*)(at::Tensor x, const SigmaWalk& walk);

/// How diffusers' scheduler of a name scales its latents: as x = picture + sigma noise, or all of it to unit
/// variance.
enum class Scale { kExploding, kPreserving };

struct SamplerTraits {
  Sampler sampler;
  std::string_view ours;
  std::string_view title;                        // A1111's
  std::string_view reference = {};               // diffusers' class; empty: it has none
  std::array<std::string_view, 2> aliases = {};  // where folding (folded_name.h) does not give them
  std::optional<double> eta = {};                // the default of those that take fresh noise
  WalkFunction walk = nullptr;                   // of those in terms of sigma
  bool two_calls = false;                        // of the network in each step but the last
  TimestepGrid grid = TimestepGrid::kWithLast;
  LastSigma last = LastSigma::kZero;
  Scale scale = Scale::kExploding;
  bool whole_karras = false;  // SigmaRequest
  TimestepSpacing unsaid = TimestepSpacing::kLinspace;
  bool thresholds = false;  // whether that class knows SampleLimits::dynamic_threshold
};

constexpr TimestepGrid kOpen = TimestepGrid::kWithoutLast;
constexpr Scale kUnit = Scale::kPreserving;

constexpr std::array<SamplerTraits, 20> kSamplers = {{
    {.sampler = Sampler::kDdim,
     .ours = "ddim",
     .title = "DDIM",
     .reference = "DDIMScheduler",
     .aliases = {"DDIMParallelScheduler"},
     .eta = 0.0},
    {.sampler = Sampler::kDdpm, .ours = "ddpm", .title = "DDPM", .reference = "DDPMScheduler"},
    {.sampler = Sampler::kEuler,
     .ours = "euler",
     .title = "Euler",
     .reference = "EulerDiscreteScheduler",
     .walk = euler},
    {.sampler = Sampler::kEulerAncestral,
     .ours = "euler_a",
     .title = "Euler a",
     .reference = "EulerAncestralDiscreteScheduler",
     .aliases = {"euler_ancestral"},
     .eta = 1.0,
     .walk = euler_ancestral},
    {.sampler = Sampler::kEulerCfgPp, .ours = "euler_cfg_pp", .title = "Euler CFG++", .walk = euler_cfg_pp},
    {.sampler = Sampler::kHeun,
     .ours = "heun",
     .title = "Heun",
     .reference = "HeunDiscreteScheduler",
     .walk = heun,
     .two_calls = true},
    {.sampler = Sampler::kDpm2,
     .ours = "dpm2",
     .title = "DPM2",
     .reference = "KDPM2DiscreteScheduler",
     .walk = dpm_2,
     .two_calls = true,
     .whole_karras = true},
    {.sampler = Sampler::kDpm2Ancestral,
     .ours = "dpm2_a",
     .title = "DPM2 a",
     .reference = "KDPM2AncestralDiscreteScheduler",
     .aliases = {"dpm_2_ancestral"},
     .eta = 1.0,
     .walk = dpm_2_ancestral,
     .two_calls = true,
     .whole_karras = true},
    {.sampler = Sampler::kDpmpp2sAncestral,
     .ours = "dpm++2s_a",
     .title = "DPM++ 2S a",
     .aliases = {"dpmpp_2s_ancestral"},
     .eta = 1.0,
     .walk = dpmpp_2s_ancestral,
     .two_calls = true},
    {.sampler = Sampler::kDpmpp2m,
     .ours = "dpm++2m",
     .title = "DPM++ 2M",
     .reference = "DPMSolverMultistepScheduler",
     .walk = dpmpp_2m,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kDpmppSde,
     .ours = "dpm++sde",
     .title = "DPM++ SDE",
     .reference = "DPMSolverSDEScheduler",
     .eta = 1.0,
     .walk = dpmpp_sde,
     .two_calls = true},
    {.sampler = Sampler::kDpmpp2mSde,
     .ours = "dpm++2m_sde",
     .title = "DPM++ 2M SDE",
     .eta = 1.0,
     .walk = dpmpp_2m_sde,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kDpmpp3mSde,
     .ours = "dpm++3m_sde",
     .title = "DPM++ 3M SDE",
     .eta = 1.0,
     .walk = dpmpp_3m_sde,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kLms,
     .ours = "lms",
     .title = "LMS",
     .reference = "LMSDiscreteScheduler",
     .walk = lms},
    {.sampler = Sampler::kPlms,
     .ours = "plms",
     .title = "PLMS",
     .reference = "PNDMScheduler",
     .aliases = {"pndm"},
     .walk = plms,
     .scale = kUnit,
     .unsaid = TimestepSpacing::kLeading},
    {.sampler = Sampler::kIpndm,
     .ours = "ipndm",
     .title = "IPNDM",
     .aliases = {"IPNDMScheduler"},
     .walk = ipndm},
    {.sampler = Sampler::kDeis,
     .ours = "deis",
     .title = "DEIS",
     .reference = "DEISMultistepScheduler",
     .walk = deis,
     .grid = kOpen,
     .last = LastSigma::kLeast,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kUniPc,
     .ours = "unipc",
     .title = "UniPC",
     .reference = "UniPCMultistepScheduler",
     .aliases = {"uni_pc_bh2"},
     .walk = unipc,
     .grid = kOpen,
     .scale = kUnit,
     .whole_karras = true,
     .thresholds = true},
    {.sampler = Sampler::kLcm, .ours = "lcm", .title = "LCM", .reference = "LCMScheduler"},
    {.sampler = Sampler::kTcd, .ours = "tcd", .title = "TCD", .reference = "TCDScheduler", .eta = 0.3},
}};

const SamplerTraits& traits_of(Sampler sampler) {
  return *std::find_if(kSamplers.begin(), kSamplers.end(),
                       [&](const SamplerTraits& one) { return one.sampler == sampler; });
}

std::optional<Sampler> find_sampler(std::string_view name) {
  std::string wanted = folded(name);
  if (name.starts_with("k_")) wanted.erase(0, 1);  // as A1111's programs call them among themselves
  for (const SamplerTraits& one : kSamplers) {
    for (const std::string_view known :
         {one.ours, one.title, one.reference, one.aliases[0], one.aliases[1]}) {
      if (!known.empty() && folded(known) == wanted) return one.sampler;
    }
  }
  return std::nullopt;
}

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

at::Tensor sample_by_sigma(const NoiseSchedule& schedule, const SamplingSettings& settings,
                           const at::Tensor& latents, const Denoiser& denoise, const NoiseSource& noise,
                           const StepObserver& observe) {
  const SamplerTraits& traits = traits_of(settings.sampler);
  const SigmaSchedule sigmas = schedule_of(schedule, settings);
  const SampleLimits& limits = schedule.config().limits;
  const bool thresholds = traits.thresholds && limits.dynamic_threshold;
  const auto denoised = [&](const at::Tensor& x, double sigma, std::optional<int64_t> place) {
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
    return observe(step, traits.scale == Scale::kPreserving ? x / preserving(sigma) : x);
  };
  const at::Tensor x = latents * first_deviation(schedule, traits, sigmas.sigmas.front());
  const at::Tensor last = traits.walk(x, {sigmas.sigmas, denoised, noise, arrive, settings.eta});
  return last / preserving(sigmas.sigmas.back());
}

at::Tensor sample_by_timestep(const NoiseSchedule& schedule, const SamplingSettings& settings,
                              at::Tensor latents, const Denoiser& denoise, const NoiseSource& noise,
                              const StepObserver& observe) {
  const bool distilled = settings.sampler == Sampler::kLcm || settings.sampler == Sampler::kTcd;
  const std::vector<int64_t> timesteps =
      distilled ? schedule.distilled_timesteps(settings.steps) : schedule.timesteps(settings.steps);
  const int64_t stride = schedule.config().train_timesteps / settings.steps;
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const bool last = i + 1 == timesteps.size();
    const at::Tensor prediction = denoise(latents, {static_cast<double>(t), sigma_at(schedule, static_cast<double>(t))}).guided;
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
    if (!observe(static_cast<int64_t>(i), latents)) break;
  }
  return latents;
}

}  // namespace

std::optional<Sampler> sampler_of_class(std::string_view class_name) {
  for (const SamplerTraits& one : kSamplers) {
    if (!class_name.empty() && one.reference == class_name) return one.sampler;
  }
  return std::nullopt;
}

NamedSampler named_sampler(std::string_view name) {
  if (const std::optional<Sampler> known = find_sampler(name)) return {*known, {}};
  // "DPM++ 2M Karras", "dpm++ 2m sgm uniform"
  for (size_t space = name.find(' '); space != std::string_view::npos; space = name.find(' ', space + 1)) {
    const std::optional<Sampler> known = find_sampler(name.substr(0, space));
    const std::optional<SigmaSpacing> spacing = find_spacing(name.substr(space + 1));
    if (known && spacing) return {*known, spacing};
  }
  throw Error(ExitCode::kUsage, "--sampling-method " + std::string(name), "unknown sampler",
              "choose one of " + sampler_names());
}

Sampler sampler_from_name(std::string_view name) { return named_sampler(name).sampler; }
std::string_view sampler_name(Sampler sampler) { return traits_of(sampler).ours; }
std::string_view sampler_title(Sampler sampler) { return traits_of(sampler).title; }

std::string sampler_names() {
  std::string names;
  for (const SamplerTraits& one : kSamplers) names += (names.empty() ? "" : ", ") + std::string(one.ours);
  return names;
}

std::optional<double> default_eta(Sampler sampler) { return traits_of(sampler).eta; }
int64_t network_calls(const SamplingSettings& settings) {
  if (traits_of(settings.sampler).two_calls) return 2 * settings.steps - 1;
  const bool begins_twice = settings.sampler == Sampler::kPlms && settings.steps > 1;
  return settings.steps + (begins_twice ? 1 : 0);
}
bool takes_spacing(Sampler sampler) { return traits_of(sampler).walk != nullptr; }

void check_sampling(const NoiseSchedule& schedule, const SamplingSettings& settings) {
  if (takes_spacing(settings.sampler))
    schedule_of(schedule, settings);
  else if (settings.sampler == Sampler::kLcm || settings.sampler == Sampler::kTcd)
    schedule.distilled_timesteps(settings.steps);
  else
    schedule.timesteps(settings.steps);
}

at::Tensor sample(const NoiseSchedule& schedule, const SamplingSettings& settings, at::Tensor latents,
                  const Denoiser& denoise, const NoiseSource& noise, const StepObserver& observe) {
  return takes_spacing(settings.sampler)
             ? sample_by_sigma(schedule, settings, latents, denoise, noise, observe)
             : sample_by_timestep(schedule, settings, std::move(latents), denoise, noise, observe);
}

}  // namespace brume

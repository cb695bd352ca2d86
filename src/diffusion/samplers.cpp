#include "brume/diffusion/samplers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "brume/base/error.h"
#include "brume/diffusion/sigma_samplers.h"

namespace brume {

namespace {

using WalkFunction = at::Tensor (*)(at::Tensor x, const SigmaWalk& walk);

/// How diffusers' scheduler of a name scales its latents: as x = picture + sigma noise, or all of it to unit
/// variance.
enum class Scale { kExploding, kPreserving };

struct SamplerTraits {
  Sampler sampler;
  std::string_view ours;
  std::string_view display;     // A1111's
  std::string_view reference;   // diffusers' class; empty: it has none
  std::string_view alias;       // stable-diffusion.cpp's, where it is another
  std::optional<double> eta;    // the default of those that take fresh noise
  WalkFunction walk = nullptr;  // of those in terms of sigma
  TimestepGrid grid = TimestepGrid::kWithLast;
  LastSigma last = LastSigma::kZero;
  Scale scale = Scale::kExploding;
};

constexpr TimestepGrid kOpen = TimestepGrid::kWithoutLast;
constexpr Scale kUnit = Scale::kPreserving;

constexpr std::array<SamplerTraits, 20> kSamplers = {{
    {Sampler::kDdim, "ddim", "DDIM", "DDIMScheduler", "", 0.0},
    {Sampler::kDdpm, "ddpm", "DDPM", "DDPMScheduler", "", {}},
    {Sampler::kEuler, "euler", "Euler", "EulerDiscreteScheduler", "", {}, euler},
    {Sampler::kEulerAncestral, "euler_a", "Euler a", "EulerAncestralDiscreteScheduler", "euler_ancestral",
     1.0, euler_ancestral},
    {Sampler::kEulerCfgPp, "euler_cfg_pp", "Euler CFG++", "", "euler_cfg++", {}, euler_cfg_pp},
    {Sampler::kHeun, "heun", "Heun", "HeunDiscreteScheduler", "", {}, heun},
    {Sampler::kDpm2, "dpm2", "DPM2", "KDPM2DiscreteScheduler", "dpm_2", {}, dpm_2},
    {Sampler::kDpm2Ancestral, "dpm2_a", "DPM2 a", "KDPM2AncestralDiscreteScheduler", "dpm_2_ancestral", 1.0,
     dpm_2_ancestral},
    {Sampler::kDpmpp2sAncestral, "dpm++2s_a", "DPM++ 2S a", "", "dpmpp_2s_ancestral", 1.0,
     dpmpp_2s_ancestral},
    {Sampler::kDpmpp2m,
     "dpm++2m",
     "DPM++ 2M",
     "DPMSolverMultistepScheduler",
     "dpmpp_2m",
     {},
     dpmpp_2m,
     kOpen,
     LastSigma::kZero,
     kUnit},
    {Sampler::kDpmppSde, "dpm++sde", "DPM++ SDE", "DPMSolverSDEScheduler", "dpmpp_sde", 1.0, dpmpp_sde},
    {Sampler::kDpmpp2mSde, "dpm++2m_sde", "DPM++ 2M SDE", "", "dpmpp_2m_sde", 1.0, dpmpp_2m_sde, kOpen,
     LastSigma::kZero, kUnit},
    {Sampler::kDpmpp3mSde, "dpm++3m_sde", "DPM++ 3M SDE", "", "dpmpp_3m_sde", 1.0, dpmpp_3m_sde, kOpen,
     LastSigma::kZero, kUnit},
    {Sampler::kLms, "lms", "LMS", "LMSDiscreteScheduler", "", {}, lms},
    {Sampler::kPlms,
     "plms",
     "PLMS",
     "PNDMScheduler",
     "pndm",
     {},
     plms,
     TimestepGrid::kWithLast,
     LastSigma::kLeast,
     kUnit},
    {Sampler::kIpndm, "ipndm", "IPNDM", "", "", {}, ipndm},
    {Sampler::kDeis, "deis", "DEIS", "DEISMultistepScheduler", "", {}, deis, kOpen, LastSigma::kLeast, kUnit},
    {Sampler::kUniPc,
     "unipc",
     "UniPC",
     "UniPCMultistepScheduler",
     "uni_pc",
     {},
     unipc,
     kOpen,
     LastSigma::kZero,
     kUnit},
    {Sampler::kLcm, "lcm", "LCM", "LCMScheduler", "", {}},
    {Sampler::kTcd, "tcd", "TCD", "TCDScheduler", "", 0.3},
}};

const SamplerTraits& traits_of(Sampler sampler) {
  return *std::find_if(kSamplers.begin(), kSamplers.end(),
                       [&](const SamplerTraits& one) { return one.sampler == sampler; });
}

std::optional<Sampler> find_sampler(std::string_view name) {
  for (const SamplerTraits& one : kSamplers) {
    if (!name.empty() &&
        (name == one.ours || name == one.display || name == one.reference || name == one.alias))
      return one.sampler;
  }
  return std::nullopt;
}

SigmaSchedule schedule_of(const NoiseSchedule& schedule, const SamplingSettings& settings) {
  if (!settings.sigmas.empty()) return sigma_schedule_from_text(schedule, settings.sigmas);
  const SamplerTraits& traits = traits_of(settings.sampler);
  SigmaRequest request{settings.steps, settings.spacing, traits.grid, traits.last};
  request.whole_karras = traits.grid == TimestepGrid::kWithoutLast || settings.sampler == Sampler::kDpm2 ||
                         settings.sampler == Sampler::kDpm2Ancestral;
  if (settings.sampler == Sampler::kPlms) {  // it ends and is spaced as ddim
    request.unsaid = TimestepSpacing::kLeading;
    if (schedule.config().final_alpha_one) request.last = LastSigma::kZero;
  }
  return sigma_schedule(schedule, request);
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
  const auto denoised = [&](const at::Tensor& x, double sigma, std::optional<int64_t> place) {
    const bool known = place && *place < static_cast<int64_t>(sigmas.timesteps.size());
    const double timestep =
        known ? sigmas.timesteps[static_cast<size_t>(*place)] : timestep_at(schedule, sigma);
    const NetworkOutput output = denoise(x / preserving(sigma), timestep);
    return Denoised{denoised_of(schedule, output.guided, x, sigma),
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
    const at::Tensor prediction = denoise(latents, static_cast<double>(t)).guided;
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
  for (const SigmaSpacing spacing : {SigmaSpacing::kKarras, SigmaSpacing::kExponential}) {
    const std::string ending = " " + std::string(spacing_title(spacing));
    if (!name.ends_with(ending)) continue;
    if (const auto known = find_sampler(name.substr(0, name.size() - ending.size())))
      return {*known, spacing};
  }
  throw Error(ExitCode::kUsage, "--sampling-method " + std::string(name), "unknown sampler",
              "choose one of " + sampler_names());
}

Sampler sampler_from_name(std::string_view name) { return named_sampler(name).sampler; }
std::string_view sampler_name(Sampler sampler) { return traits_of(sampler).ours; }
std::string_view sampler_title(Sampler sampler) { return traits_of(sampler).display; }

std::string sampler_names() {
  std::string names;
  for (const SamplerTraits& one : kSamplers) names += (names.empty() ? "" : ", ") + std::string(one.ours);
  return names;
}

std::optional<double> default_eta(Sampler sampler) { return traits_of(sampler).eta; }
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

#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/diffusion/guidance.h"
#include "brume/diffusion/masking.h"
#include "brume/diffusion/noise_schedule.h"
#include "brume/diffusion/sigma_schedule.h"

namespace brume {

struct SamplingSettings;

enum class Sampler {
  kDdim,
  kDdpm,
  kEuler,
  kEulerAncestral,
  kEulerCfgPp,
  kHeun,
  kDpm2,
  kDpm2Ancestral,
  kDpmpp2sAncestral,
  kDpmpp2m,
  kDpmppSde,
  kDpmpp2mSde,
  kDpmpp3mSde,
  kLms,
  kPlms,
  kIpndm,
  kDeis,
  kUniPc,
  kLcm,
  kTcd,
};

/// A sampler, and the spacing that its name says with it: "DPM++ 2M Karras".
struct NamedSampler {
  Sampler sampler;
  std::optional<SigmaSpacing> spacing;
};
/// By any of the names people type, in large or small letters: "euler_a", "Euler a", "dpmpp_2m_sde_gpu",
/// "k_lms", "EulerAncestralDiscreteScheduler", "DPM++ 2M Karras", "dpmpp_2m_karras". Throws kUsage with the
/// list of names.
NamedSampler named_sampler(std::string_view name);
Sampler sampler_from_name(std::string_view name);
/// A1111's name.
std::string_view sampler_title(Sampler sampler);
/// What a diffusers class samples by; nothing for a class that brume does not have.
std::optional<Sampler> sampler_of_class(std::string_view class_name);
std::string_view sampler_name(Sampler sampler);
/// Our names, with commas.
std::string sampler_names();
/// How much fresh noise a sampler takes where nobody says; nothing for one that takes none.
std::optional<double> default_eta(Sampler sampler);
/// How often a whole walk calls the network.
int64_t network_calls(const SamplingSettings& settings);
/// What A1111's schedule type "Automatic" is for it.
SigmaSpacing automatic_spacing(Sampler sampler);
/// Whether it walks along sigmas, so that they may be spaced another way.
bool takes_spacing(Sampler sampler);

/// What a network answers, as guided, and as the negative prompt alone has it (the same without guidance).
struct NetworkOutput {
  at::Tensor guided;
  at::Tensor negative;
};
/// For latents [N, C, H, W] of unit variance at a level whose timestep may lie between two; the same shape.
using Denoiser = std::function<NetworkOutput(const at::Tensor& latents, const NoiseLevel& level)>;
/// Fresh standard normal noise of the latents' shape.
using NoiseSource = std::function<at::Tensor()>;
/// Called with the latents after each step that is taken (0, 1, ...), scaled as diffusers' scheduler of that
/// name has them; returns false to stop there.
using StepObserver = std::function<bool(int64_t step, const at::Tensor& latents)>;

struct SamplingSettings {
  Sampler sampler = Sampler::kDdim;
  int64_t steps = 20;
  double eta = 0;  // fresh noise, for those that take some: 0 is deterministic
  SigmaSpacing spacing = SigmaSpacing::kModel;
  std::string sigmas = {};  // a list instead of a spacing (sigma_schedule_from_text); `steps` of it
  int64_t first_step = 0;   // of the steps; those before it are not taken: a picture is there already

  int64_t steps_taken() const { return steps - first_step; }
};

/// The first of `steps` that is taken where a picture is changed by `strength`, 0 to 1: as get_timesteps of
/// diffusers' StableDiffusionImg2ImgPipeline has it; `steps` where none is.
int64_t first_step_of(int64_t steps, double strength);

/// What a walk begins with: noise alone, or a picture under as much of it as the first step takes off.
struct Beginning {
  at::Tensor noise;                   // [N, C, H, W] fp32 of unit variance
  at::Tensor picture = {};            // latents [N, C, H, W] fp32; undefined: noise alone
  std::optional<KeptPart> kept = {};  // where a part of a picture stays
};

/// The clean sample that a prediction at timestep t means. [N, C, H, W]
at::Tensor unlimited_sample(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                            const at::Tensor& latents);
/// The same, kept in the schedule's limits; `usual_clip`: whether it is clipped where the model does not say.
at::Tensor predicted_sample(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
                            const at::Tensor& latents, bool usual_clip = true);
/// Imagen's dynamic thresholding of a clean sample [N, C, H, W]: each picture is clamped to its own quantile
/// of absolute values, then scaled back.
at::Tensor thresholded(const at::Tensor& sample, const SampleLimits& limits);
/// The noise that it means, before any limit.
at::Tensor predicted_noise(const NoiseSchedule& schedule, const at::Tensor& prediction, int64_t t,
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

/// One step of a distilled model, "Latent Consistency Models" (Luo et al. 2023) or "Trajectory Consistency
/// Distillation" (Zheng et al. 2024), from timestep t to `previous`, 0 in the last step. `noise` is used in
/// the others, by TCD where eta (the paper's gamma) > 0. Mirror LCMScheduler.step and TCDScheduler.step.
struct ConsistencyStep {
  int64_t t;
  int64_t previous;
  bool last;
  double eta;
};
at::Tensor lcm_step(const NoiseSchedule& schedule, const ConsistencyStep& step, const at::Tensor& prediction,
                    const at::Tensor& latents, const at::Tensor& noise);
at::Tensor tcd_step(const NoiseSchedule& schedule, const ConsistencyStep& step, const at::Tensor& prediction,
                    const at::Tensor& latents, const at::Tensor& noise);

/// Throws kUsage where the model's schedule has not so many steps for this sampler.
void check_sampling(const NoiseSchedule& schedule, const SamplingSettings& settings);

/// At which timesteps `sample` asks the network, in its order, each once.
std::vector<double> network_timesteps(const NoiseSchedule& schedule, const SamplingSettings& settings);

/// Runs the whole loop from its beginning to clean latents. Noise is drawn only in steps that use it.
at::Tensor sample(const NoiseSchedule& schedule, const SamplingSettings& settings, const Beginning& beginning,
                  const Denoiser& denoise, const NoiseSource& noise, const StepObserver& observe);

}  // namespace brume

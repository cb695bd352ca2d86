#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "brume/diffusion/noise_schedule.h"

namespace brume {

/// The steps that are guided, as shares of all: "Applying Guidance in a Limited Interval Improves Sample and
/// Distribution Quality in Diffusion Models" (Kynkäänniemi et al. 2024). Counted as diffusers' guiders count.
struct GuidanceInterval {
  double start = 0;
  double end = 1;

  /// Whether step `step`, from 0, of `steps` is in it.
  bool holds(int64_t step, int64_t steps) const;
  /// How many of `steps` are in it.
  int64_t length(int64_t steps) const;
};

/// Strong guidance with the range of values that a weaker one has: the extension sd-dynamic-thresholding with
/// its usual settings (each channel apart, from its mean, by absolute values).
struct MimicThreshold {
  double mimic_scale = 7;
  double percentile =
      1;  // of the strong guidance's values, 0 to 1, that is brought to the weaker one's range
};

/// "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance" (Ahn et al. 2024): away from what
/// the network says where some of its self-attentions see each token alone.
struct PerturbedGuidance {
  double scale = 0;           // 0: none
  double adaptive_scale = 0;  // how fast it becomes weaker with falling timesteps
  std::vector<std::string> layers = {"mid"};

  bool active() const { return scale > 0; }
  /// As diffusers' PAGMixin has it.
  double scale_at(double timestep) const;
};

struct GuidanceSettings {
  double scale = 1;  // 1 and below: no guidance, the negative prompt is not looked at
  double rescale =
      0;  // "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4; 0.7 is theirs
  GuidanceInterval interval = {};
  std::optional<MimicThreshold> mimic = {};
  PerturbedGuidance perturbed = {};
  bool told = false;  // to the network, which was distilled to guide itself: there is no negative prompt
  // "InstructPix2Pix" (Brooks et al. 2023): towards the picture beside the latents, 1 or more; nothing where
  // there is none.
  std::optional<double> image_scale = {};

  bool active() const { return scale > 1 && !told; }
  /// Whether a row is needed that sees no picture: at 1 what it says cancels out.
  bool guided_by_image() const { return active() && image_scale.value_or(1) > 1; }
  bool active_in(int64_t step, int64_t steps) const { return active() && interval.holds(step, steps); }
  /// Rows of the network that a prompt of one part has in a step, on average over `steps`.
  double rows(int64_t steps) const;
};

/// Where a prediction was made: the noise on a picture of unit signal is `sigma`.
struct NoiseLevel {
  double timestep;
  double sigma;
};

/// Where and of what a prediction was made.
struct GuidedPoint {
  Prediction prediction;      // what the network predicts
  const at::Tensor& latents;  // [N, C, H, W] of unit variance, as the network saw them
  NoiseLevel level;
};

/// What the network said, each [N, C, H, W].
struct Predictions {
  at::Tensor negative;  // undefined where this step is not guided by it
  at::Tensor positive;
  at::Tensor perturbed;  // undefined without perturbed guidance
  at::Tensor blank;      // the negative prompt without a picture; undefined where that is no guide
};

/// "Compositional Visual Generation with Composable Diffusion Models" (Liu et al. 2022): `negative` and, each
/// by its weight, what every one of `parts` (all [N, C, H, W]) makes of it. A lone part of weight 1 is
/// itself.
at::Tensor compose(const at::Tensor& negative, const std::vector<at::Tensor>& parts,
                   const std::vector<double>& weights);

/// "Classifier-Free Diffusion Guidance" (Ho and Salimans 2022): away from `negative`, towards `positive`
/// (each [N, C, H, W]). Mirrors the guidance of diffusers' StableDiffusionPipeline and its rescale_noise_cfg,
/// and with `perturbed` that of StableDiffusionPAGPipeline, with `blank` that of
/// StableDiffusionInstructPix2PixPipeline. Without `negative` these are left out, and so is the rescaling.
at::Tensor guide(const Predictions& predictions, const GuidanceSettings& settings, const GuidedPoint& point);

}  // namespace brume

#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/config_file.h"

namespace brume {

enum class BetaSchedule { kLinear, kScaledLinear, kSquaredCosCapV2 };
enum class TimestepSpacing { kLeading, kTrailing, kLinspace };
/// What the network predicts: the noise, the velocity ("Progressive Distillation", Salimans and Ho 2022), or
/// the picture.
enum class Prediction { kEpsilon, kV, kSample };
/// As scheduler_config.json has it: "epsilon", "v_prediction" or "sample".
std::string_view prediction_name(Prediction prediction);
/// Its short names too: "eps", "v". Nothing for another text.
std::optional<Prediction> prediction_from_name(std::string_view name);
enum class Variance { kFixedSmall, kFixedSmallLog, kFixedLarge };

/// How a sampler's noise levels are spread over those that the model was trained with.
enum class SigmaSpacing {
  kModel,           // the model's own timesteps, as diffusers' schedulers take them
  kKarras,          // "Elucidating the Design Space of Diffusion-Based Generative Models", equation 5
  kExponential,     // evenly in the logarithm
  kBeta,            // "Beta Sampling is All You Need" (Lee et al. 2024)
  kSgmUniform,      // evenly in time, without the last timestep (Stability's generative-models)
  kSimple,          // every n-th training level
  kDdimUniform,     // every n-th training level from the second on
  kAlignYourSteps,  // "Align Your Steps" (Sabour et al. 2024): tables for SD1.5
  kAlignYourStepsXl,
  kKlOptimal,  // the same paper's closed form
};

/// How the prediction of the clean sample is kept in range.
struct SampleLimits {
  std::optional<bool> clip;  // where the model says; samplers differ in what they do else
  double clip_range = 1;
  bool dynamic_threshold = false;  // "Imagen", Saharia et al. 2022, section 2.3
  double threshold_quantile = 0.995;
  double threshold_most = 1;

  bool operator==(const SampleLimits&) const = default;
};

/// A model's scheduler_config.json, with the defaults of diffusers' DDIMScheduler.
struct NoiseScheduleConfig {
  int64_t train_timesteps = 1000;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  BetaSchedule beta_schedule = BetaSchedule::kLinear;
  std::vector<double> trained_betas;  // instead of the four above, where not empty
  bool zero_terminal_snr =
      false;  // "Common Diffusion Noise Schedules and Sample Steps are Flawed", Lin et al. 2023
  bool final_alpha_one = true;             // set_alpha_to_one
  std::optional<TimestepSpacing> spacing;  // where the model says; each sampler has its own default
  int64_t steps_offset = 0;
  SigmaSpacing sigma_spacing = SigmaSpacing::kModel;  // use_karras_sigmas and its like
  bool stochastic = false;                            // algorithm_type: an SDE instead of a flow
  int64_t distilled_steps = 50;                       // original_inference_steps
  Prediction prediction = Prediction::kEpsilon;
  Variance variance = Variance::kFixedSmall;  // of DDPM
  SampleLimits limits;
  std::string class_name = "DDIMScheduler";  // the sampler the model's author chose

  bool operator==(const NoiseScheduleConfig&) const = default;

  /// Any diffusers scheduler over discrete timesteps. Throws kModelInvalid, naming file, key and value, for
  /// what brume does not have. Keys that nothing reads are appended to `ignored`, a line a file.
  static NoiseScheduleConfig read(const ConfigFile& config, std::vector<std::string>& ignored);
};

/// The noise levels of a model: how much of the picture is left at every training timestep.
class NoiseSchedule {
 public:
  explicit NoiseSchedule(NoiseScheduleConfig config);

  const NoiseScheduleConfig& config() const { return config_; }
  /// The product of (1 - beta) up to timestep t, in fp32 as the reference computes it; t in [0,
  /// train_timesteps).
  float alpha_cumprod(int64_t t) const { return alphas_cumprod_.at(static_cast<size_t>(t)); }
  /// As alpha_cumprod; for a negative t, the level of the finished picture.
  float alpha_cumprod_or_final(int64_t t) const;
  /// `steps` timesteps, falling. Throws kUsage where the schedule has no so many.
  std::vector<int64_t> timesteps(int64_t steps) const;
  /// As a distilled model takes them: some of the timesteps that it was distilled with.
  std::vector<int64_t> distilled_timesteps(int64_t steps) const;

 private:
  NoiseScheduleConfig config_;
  std::vector<float> alphas_cumprod_;
};

}  // namespace brume

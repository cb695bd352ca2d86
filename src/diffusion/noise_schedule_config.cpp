#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "brume/base/config_file.h"
#include "brume/diffusion/noise_schedule.h"

namespace brume {

namespace {

constexpr int64_t kMostTimesteps = 1'000'000;
constexpr double kMostBeta = 0.9999;
constexpr double kLeastRange = 1e-3;  // of values that the sample is clamped to
constexpr double kMostRange = 1e6;

/// Schedulers whose betas and timesteps mean what DDIM's do; any of them can be sampled by any other.
constexpr std::array<std::string_view, 17> kDiscrete = {
    "DDIMScheduler",
    "DDPMScheduler",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DPMSolverSDEScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "LCMScheduler",
    "TCDScheduler",
    "DDIMParallelScheduler",
};

constexpr std::array<std::pair<std::string_view, Prediction>, 3> kPredictions{
    {{"epsilon", Prediction::kEpsilon}, {"v_prediction", Prediction::kV}, {"sample", Prediction::kSample}}};

/// The value of a key as one of an enum's names; the first is the default.
template <class Enum, size_t N>
Enum choose(const ConfigFile& config, std::string_view key,
            const std::array<std::pair<std::string_view, Enum>, N>& names) {
  const std::string value = config.get_string(key, names.front().first);
  std::string known = "brume supports";
  for (const auto& [name, chosen] : names) {
    if (value == name) return chosen;
    known += " " + std::string(name);
  }
  config.reject(key, known);
}

Variance read_variance(const ConfigFile& config, const std::string& class_name) {
  // Other classes give the key another meaning, or none.
  if (class_name != "DDPMScheduler") return Variance::kFixedSmall;
  return choose<Variance, 3>(config, "variance_type",
                             {{{"fixed_small", Variance::kFixedSmall},
                               {"fixed_small_log", Variance::kFixedSmallLog},
                               {"fixed_large", Variance::kFixedLarge}}});
}

SampleLimits read_limits(const ConfigFile& config) {
  SampleLimits limits;
  if (config.has("clip_sample")) limits.clip = config.get_bool("clip_sample", true);
  limits.clip_range = config.get_number("clip_sample_range", 1, kLeastRange, kMostRange);
  limits.dynamic_threshold = config.get_bool("thresholding", false);
  limits.threshold_quantile = config.get_number("dynamic_thresholding_ratio", 0.995, 0, 1);
  limits.threshold_most = config.get_number("sample_max_value", 1, kLeastRange, kMostRange);
  return limits;
}

SigmaSpacing read_sigma_spacing(const ConfigFile& config) {
  SigmaSpacing spacing = SigmaSpacing::kModel;
  for (const auto& [key, meant] : {std::pair{"use_karras_sigmas", SigmaSpacing::kKarras},
                                   {"use_exponential_sigmas", SigmaSpacing::kExponential},
                                   {"use_beta_sigmas", SigmaSpacing::kBeta}}) {
    if (config.get_bool(key, false)) spacing = meant;
  }
  return spacing;
}

void read_betas(const ConfigFile& config, NoiseScheduleConfig& schedule) {
  schedule.beta_start = config.get_number("beta_start", 0.0001, 0, kMostBeta);
  schedule.beta_end = config.get_number("beta_end", 0.02, 0, kMostBeta);
  schedule.beta_schedule = choose<BetaSchedule, 3>(config, "beta_schedule",
                                                   {{{"linear", BetaSchedule::kLinear},
                                                     {"scaled_linear", BetaSchedule::kScaledLinear},
                                                     {"squaredcos_cap_v2", BetaSchedule::kSquaredCosCapV2}}});
  schedule.trained_betas = config.get_numbers("trained_betas");
  const auto valid = [](double beta) { return beta >= 0 && beta <= kMostBeta; };
  if (!std::all_of(schedule.trained_betas.begin(), schedule.trained_betas.end(), valid)) {
    config.reject("trained_betas", "each must be from 0 to 0.9999");
  }
}

}  // namespace

std::string_view prediction_name(Prediction prediction) {
  return std::find_if(kPredictions.begin(), kPredictions.end(),
                      [&](const auto& row) { return row.second == prediction; })
      ->first;
}

std::optional<Prediction> prediction_from_name(std::string_view name) {
  if (name == "eps") return Prediction::kEpsilon;
  if (name == "v") return Prediction::kV;
  for (const auto& [known, prediction] : kPredictions) {
    if (name == known) return prediction;
  }
  return std::nullopt;
}

NoiseScheduleConfig NoiseScheduleConfig::read(const ConfigFile& config, std::vector<std::string>& ignored) {
  NoiseScheduleConfig schedule;
  schedule.class_name = config.require_string("_class_name");
  if (std::find(kDiscrete.begin(), kDiscrete.end(), schedule.class_name) == kDiscrete.end()) {
    config.reject("_class_name", "brume supports the schedulers of Stable Diffusion 1, 2 and XL");
  }
  schedule.train_timesteps = config.get_int("num_train_timesteps", 1000, 1, kMostTimesteps);
  read_betas(config, schedule);
  if (!schedule.trained_betas.empty())
    schedule.train_timesteps = static_cast<int64_t>(schedule.trained_betas.size());
  schedule.zero_terminal_snr = config.get_bool("rescale_betas_zero_snr", false);
  schedule.final_alpha_one = config.get_bool("set_alpha_to_one", schedule.class_name != "PNDMScheduler");
  if (config.has("timestep_spacing"))
    schedule.spacing = choose<TimestepSpacing, 3>(config, "timestep_spacing",
                                                  {{{"leading", TimestepSpacing::kLeading},
                                                    {"trailing", TimestepSpacing::kTrailing},
                                                    {"linspace", TimestepSpacing::kLinspace}}});
  schedule.steps_offset = config.get_int("steps_offset", 0, 0, kMostTimesteps);
  schedule.prediction = choose(config, "prediction_type", kPredictions);
  schedule.sigma_spacing = read_sigma_spacing(config);
  schedule.stochastic = config.get_string("algorithm_type", "") == "sde-dpmsolver++";
  schedule.distilled_steps = config.get_int("original_inference_steps", 50, 1, kMostTimesteps);
  schedule.variance = read_variance(config, schedule.class_name);
  schedule.limits = read_limits(config);
  config.has("skip_prk_steps");  // PNDM's, and left over from it in many files
  config.note_unread(ignored);
  const bool clips = schedule.class_name == "DDIMScheduler" || schedule.class_name == "DDPMScheduler";
  if (!clips && !schedule.limits.clip)
    ignored.push_back(config.name() + ": clip_sample is missing; ddim and ddpm clip then, as diffusers' do");
  return schedule;
}

}  // namespace brume

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "brume/diffusion/samplers.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

BetaSchedule beta_schedule_of(const std::string& name) {
  return name == "scaled_linear" ? BetaSchedule::kScaledLinear : BetaSchedule::kLinear;
}

/// The few settings that tools/reference/sampler_cases.py varies.
NoiseScheduleConfig config_of(const nlohmann::json& options) {
  NoiseScheduleConfig config;
  config.beta_schedule = beta_schedule_of(options["beta_schedule"]);
  config.beta_start = options["beta_start"];
  config.beta_end = options["beta_end"];
  config.steps_offset = options["steps_offset"];
  config.final_alpha_one = options.value("set_alpha_to_one", false);
  config.limits.clip = false;
  config.limits.dynamic_threshold = options.value("thresholding", false);
  config.limits.threshold_quantile = options.value("dynamic_thresholding_ratio", 0.995);
  config.limits.threshold_most = options.value("sample_max_value", 1.0);
  if (options.value("prediction_type", "") == "v_prediction") config.prediction = Prediction::kV;
  if (options.contains("timestep_spacing"))
    config.spacing =
        options["timestep_spacing"] == "leading" ? TimestepSpacing::kLeading : TimestepSpacing::kTrailing;
  return config;
}

/// sampler_cases.network; what the negative prompt answers has another phase.
NetworkOutput network(const at::Tensor& latents, const NoiseLevel& level) {
  const auto answer = [&](double phase) {
    return 0.5 * latents + 0.3 * at::sin(2 * latents + (level.timestep / 200 + phase));
  };
  return {answer(0), answer(1)};
}

class SamplerCase : public ::testing::TestWithParam<std::string> {};

TEST_P(SamplerCase, AgreesWithDiffusersStepByStep) {
  const ReferenceCase reference("samplers");
  const at::Tensor noises = reference.tensor("noises");
  int runs = 0;
  for (const auto& run : reference.parameters()["runs"]) {
    if (run["sampler"] != GetParam()) continue;
    ++runs;
    const auto name = run["name"].get<std::string>();
    SCOPED_TRACE(name);
    const NoiseSchedule schedule(config_of(run["config"]));
    SamplingSettings settings;
    settings.sampler = sampler_from_name(GetParam());
    // 2M SDE is a form of 2M's class.
    if (const auto name_of_class = run["class"].get<std::string>();
        !name_of_class.empty() && GetParam() != "dpm++2m_sde") {
      EXPECT_EQ(sampler_of_class(name_of_class), settings.sampler);
    }
    settings.steps = run["steps"];
    settings.spacing = spacing_from_name(run["spacing"].get<std::string>());
    settings.eta = default_eta(settings.sampler).value_or(0);
    const at::Tensor expected = reference.tensor(name);
    int64_t draws = 0;
    int64_t steps = 0;
    const at::Tensor last = sample(
        schedule, settings, {reference.tensor("sample")}, network,
        [&] { return noises[draws++ % noises.size(0)]; },
        [&](int64_t step, const at::Tensor& latents) {
          EXPECT_EQ(step, steps++);
          expect_close(latents, expected[step], "step " + std::to_string(step));
          return true;
        });
    EXPECT_EQ(steps, settings.steps);
    expect_close(last, expected[-1], "the last latents");
  }
  EXPECT_GE(runs, 3);
}

INSTANTIATE_TEST_SUITE_P(All, SamplerCase,
                         ::testing::Values("euler", "euler_a", "heun", "dpm2", "dpm2_a", "lms", "dpm++2m",
                                           "dpm++2m_sde", "deis", "unipc", "plms", "lcm", "tcd",
                                           "euler_cfg_pp", "ipndm", "dpm++2s_a", "dpm++sde", "dpm++3m_sde"),
                         [](const auto& name) {
                           std::string text;
                           for (const char c : name.param) text += c == '+' ? 'p' : c;
                           return text;
                         });

}  // namespace
}  // namespace brume::testing

#include <gtest/gtest.h>

#include <fstream>

#include "brume/base/noise.h"
#include "brume/diffusion/samplers.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

/// A scheduler_config.json with these options.
NoiseScheduleConfig config_from(nlohmann::json options, const std::string& class_name) {
  options["_class_name"] = class_name;
  std::vector<std::string> ignored;
  return NoiseScheduleConfig::read(ConfigFile(options.dump(), "scheduler_config.json"), ignored);
}

/// Replays one recorded run: fixed predictions and noises, compared after every kept step.
void replay(const ReferenceCase& reference, const nlohmann::json& run) {
  const auto name = run["name"].get<std::string>();
  SCOPED_TRACE(name);
  const NoiseSchedule schedule(config_from(run["config"], run["scheduler"].get<std::string>()));
  const at::Tensor alphas = reference.tensor(run["alphas_cumprod"].get<std::string>());
  for (int64_t t = 0; t < alphas.numel(); ++t) {
    ASSERT_NEAR(schedule.alpha_cumprod(t), alphas[t].item<float>(), 1e-6) << t;
  }
  SamplingSettings settings;
  settings.sampler = sampler_from_name(run["scheduler"].get<std::string>());
  settings.steps = run["steps"].get<int64_t>();
  settings.eta = run.value("eta", 0.0);
  const at::Tensor timesteps = reference.integers(name + "/timesteps");
  EXPECT_TRUE(at::tensor(schedule.timesteps(settings.steps)).equal(timesteps));

  const at::Tensor outputs = reference.tensor("model_outputs");
  const at::Tensor noises = reference.tensor("noises");
  const at::Tensor kept = reference.integers(name + "/kept_steps");
  const at::Tensor expected = reference.tensor(name + "/prev_samples");
  int64_t step = 0;
  int64_t compared = 0;
  const Denoiser denoise = [&](const at::Tensor&, const NoiseLevel& level) {
    EXPECT_EQ(level.timestep, timesteps[step].item<double>());
    const at::Tensor output = outputs[step % outputs.size(0)];
    return NetworkOutput{output, output};
  };
  const NoiseSource noise = [&] { return noises[step % noises.size(0)]; };
  const StepObserver observe = [&](int64_t index, const at::Tensor& latents) {
    if (compared < kept.numel() && kept[compared].item<int64_t>() == index) {
      expect_close(latents, expected[compared], name + " step " + std::to_string(index), 1e-5);
      ++compared;
    }
    ++step;
    return true;
  };
  sample(schedule, settings, {reference.tensor("sample")}, denoise, noise, observe);
  EXPECT_EQ(compared, kept.numel());
}

void replay_all(const std::string& scheduler) {
  const ReferenceCase reference("schedulers");
  int runs = 0;
  for (const auto& run : reference.parameters()["runs"]) {
    if (run["scheduler"] != scheduler) continue;
    replay(reference, run);
    ++runs;
  }
  EXPECT_GE(runs, 10);
}

TEST(Schedulers, DdimAgreesWithDiffusersStepByStep) { replay_all("DDIMScheduler"); }
TEST(Schedulers, DdpmAgreesWithDiffusersStepByStep) { replay_all("DDPMScheduler"); }

TEST(NoiseDraws, EqualTorchGenerators) {
  const ReferenceCase reference("noise");
  for (const auto& text : reference.parameters()["seeds"]) {
    const auto seed = text.get<std::string>();
    Noise sequence({std::stoull(seed)});
    size_t k = 0;
    for (const auto& shape : reference.parameters()["sequence"]) {
      const at::Tensor expected = reference.tensor("seed_" + seed + "/sequence_" + std::to_string(k++));
      // A draw is [1, sizes...]: the same numbers as one of [sizes...].
      EXPECT_TRUE(sequence.normal(shape.get<std::vector<int64_t>>())[0].equal(expected))
          << seed << " draw " << k;
    }
    ASSERT_GT(k, 1U);
  }
}

TEST(NoiseDraws, OfPhiloxEqualTorchOnAGpu) {
  const ReferenceCase reference("noise");
  const at::Tensor published = reference.tensor("cuda/on_a_gpu");
  expect_close(Noise({0}, NoiseKind::kCuda).normal({published.numel()})[0], published, "published", 1e-6);
  EXPECT_NEAR(published[0].item<float>(), -0.9247, 1e-4);
  for (const auto& text : reference.parameters()["seeds"]) {
    const auto seed = text.get<std::string>();
    Noise sequence({std::stoull(seed), 3}, NoiseKind::kCuda);
    size_t k = 0;
    for (const auto& shape : reference.parameters()["sequence"]) {
      const std::string name = "cuda/seed_" + seed + "/sequence_" + std::to_string(k++);
      expect_close(sequence.normal(shape.get<std::vector<int64_t>>())[0], reference.tensor(name), name, 1e-5);
    }
  }
}

}  // namespace
}  // namespace brume::testing

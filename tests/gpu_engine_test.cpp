#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "brume/pipeline/pipeline.h"
#include "kernels/gpu/door.h"
#include "kernels/gpu/driver.h"
#include "message_of.h"
#include "reference_case.h"
#include "skip_all.h"

// The engine on a GPU beside the engine on the CPU, which other tests hold against diffusers.
namespace brume::testing {
namespace {

using kernels::gpu::Gpu;

/// Opened once, before any tensor; null where none answers.
std::shared_ptr<const Gpu>& the_gpu() {
  static std::shared_ptr<const Gpu> gpu;
  return gpu;
}

class NeedsGpu : public ::testing::Environment {
 public:
  void SetUp() override {
    try {
      if (!kernels::gpu::has_driver()) throw std::runtime_error("there is no driver");
      the_gpu() = kernels::gpu::open_gpu(BRUME_CUDA_PLUGIN, 0, {});
    } catch (const std::exception& error) {
      skip_all(std::string("no GPU: ") + error.what(), "BRUME_REQUIRE_GPU");
    }
  }
};

[[maybe_unused]] ::testing::Environment* const kSkips = ::testing::AddGlobalTestEnvironment(new NeedsGpu);

Request request_of(const Pipeline& pipeline, const PictureSettings& more = {}) {
  PictureSettings settings = more;
  settings.prompt = "a lighthouse at dusk";
  settings.steps = 6;
  settings.width = 64;
  settings.height = 48;
  return pipeline.model().resolve(settings, {7, 8});
}

class StageKeeper : public Observer {
 public:
  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    stages.insert_or_assign(std::string(name), tensor.to(at::kCPU, at::kFloat));
  }
  std::map<std::string, at::Tensor> stages;
};

double peak_signal_to_noise(const Picture& a, const Picture& b) {
  double squares = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = static_cast<double>(a.pixels[i]) - b.pixels[i];
    squares += difference * difference;
  }
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.pixels.size()) / std::max(squares, 1e-9));
}

Generation drawn_by(const Pipeline& pipeline, const PictureSettings& settings = {}) {
  StageKeeper unseen;
  return pipeline.generate(request_of(pipeline, settings), unseen);
}

void expect_like(const Generation& made, const Generation& wanted, double decibels) {
  ASSERT_EQ(made.pictures.size(), wanted.pictures.size());
  for (size_t i = 0; i < made.pictures.size(); ++i) {
    ASSERT_TRUE(made.pictures[i].picture) << made.pictures[i].failed_stage;
    EXPECT_GE(peak_signal_to_noise(*made.pictures[i].picture, *wanted.pictures[i].picture), decibels);
  }
}

class OnAGpu : public ::testing::TestWithParam<const char*> {
 protected:
  static Pipeline pipeline(at::ScalarType dtype, std::shared_ptr<const Gpu> gpu) {
    return {ModelConfig(reference_path(GetParam())), dtype, std::move(gpu)};
  }
};

TEST_P(OnAGpu, Fp32AgreesWithTheCpuAtEveryStage) {
  StageKeeper here;
  StageKeeper there;
  const Pipeline cpu = pipeline(at::kFloat, nullptr);
  const Pipeline gpu = pipeline(at::kFloat, the_gpu());
  cpu.generate(request_of(cpu), here);
  gpu.generate(request_of(gpu), there);
  ASSERT_EQ(here.stages.size(), there.stages.size());
  for (const auto& [name, tensor] : here.stages) expect_close(there.stages.at(name), tensor, name, 1e-3);
}

TEST_P(OnAGpu, HalvesGiveThePicture) {
  const Generation wanted = drawn_by(pipeline(at::kFloat, nullptr));
  expect_like(drawn_by(pipeline(at::kHalf, the_gpu())), wanted, 30);
  expect_like(drawn_by(pipeline(at::kBFloat16, the_gpu())), wanted, 24);
}

TEST_P(OnAGpu, TheSameBytesRunAfterRun) {
  const Pipeline gpu = pipeline(at::kHalf, the_gpu());
  const Generation first = drawn_by(gpu);
  for (int i = 0; i < 3; ++i) {
    const Generation again = drawn_by(gpu);
    EXPECT_TRUE(again.latents.equal(first.latents));
    EXPECT_EQ(again.pictures.front().picture->pixels, first.pictures.front().picture->pixels);
  }
}

TEST_P(OnAGpu, EveryKindOfGuidanceWorks) {
  const Pipeline cpu = pipeline(at::kFloat, nullptr);
  const Pipeline gpu = pipeline(at::kHalf, the_gpu());
  const auto check = [&](const char* what, const PictureSettings& settings) {
    SCOPED_TRACE(what);
    expect_like(drawn_by(gpu, settings), drawn_by(cpu, settings), 28);
  };
  PictureSettings settings;
  settings.pag_scale = 2;
  check("perturbed attention", settings);
  settings = {};
  settings.freeu = "1.2,1.3,0.9,0.8";
  check("FreeU", settings);
  settings = {};
  settings.guidance_end = 0.5;
  check("an interval", settings);
  settings = {};
  settings.vae_tiling = true;
  settings.sampler = "dpm++2m";
  check("tiles, another sampler", settings);
}

INSTANTIATE_TEST_SUITE_P(Models, OnAGpu, ::testing::Values("sd1", "sd2", "sdxl"));

}  // namespace
}  // namespace brume::testing

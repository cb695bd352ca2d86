#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "hard_weights.h"
#include "message_of.h"
#include "reference_case.h"
#include "src/pipeline/gpu_loader.h"
#include "streaming_gpu.h"
#include "temporary_directory.h"
#include "the_gpu.h"

// The engine on a GPU beside the engine on the CPU, which other tests hold against diffusers.
namespace brume::testing {
namespace {

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

Generation drawn_by(const Pipeline& pipeline, const PictureSettings& settings = {}) {
  StageKeeper unseen;
  return pipeline.generate(request_of(pipeline, settings), unseen);
}

class LoadingOntoAGpu : public TemporaryDirectory {};

TEST_F(LoadingOntoAGpu, EveryStoredTypeIsRoundedAsOnTheCpu) {
  for (const at::ScalarType stored : kStoredTypes) {
    const HardWeights hard(directory_ / "m.safetensors", stored);
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const auto loader = std::make_shared<GpuLoader>(
          the_gpu(), LoaderSizes{.slot = 512, .slots = 2, .threads = 4, .chunk = 64});
      const Placement placement(dtype, the_gpu()->properties().device);
      EXPECT_TRUE(same_bits(hard.read(placement, loader), hard.read(dtype, nullptr)))
          << stored << " as " << dtype;
    }
  }
}

/// Many times around the ring, while the GPU computes with what came before.
TEST_F(LoadingOntoAGpu, LargeTensorsComeWhole) {
  const at::Tensor values = at::randn({3, 7 << 20}, at::kFloat);
  write_safetensors(directory_ / "m.safetensors", {stored_entry("a", values)}, {});
  const Weights weights = Weights::open_file(directory_ / "m.safetensors");
  const Placement placement(at::kHalf, the_gpu()->properties().device);
  const WeightsView view = weights.view(placement, std::make_shared<GpuLoader>(the_gpu()));
  const at::Tensor wanted = values.to(at::kHalf);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(view.tensor("a", values.sizes()).cpu().equal(wanted));
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

/// Through the graph that was recorded with the first words.
TEST_P(OnAGpu, OtherWordsAreOtherPictures) {
  const Pipeline cpu = pipeline(at::kFloat, nullptr);
  const Pipeline gpu = pipeline(at::kFloat, the_gpu());
  StageKeeper unseen;
  for (const char* prompt : {"a lighthouse at dusk", "three foxes", "a lighthouse at dusk", "an owl"}) {
    Request here = request_of(cpu);
    here.prompt = prompt;
    const at::Tensor wanted = cpu.generate(here, unseen).latents;
    expect_close(gpu.generate(here, unseen).latents, wanted, prompt, 1e-3);
    if (std::string(prompt) != "a lighthouse at dusk") {
      EXPECT_GT((wanted - drawn_by(cpu).latents).abs().max().item<double>(), 1e-2)
          << "the model hears its words";
    }
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

/// Pictures of these seeds on their way together, by seed.
std::map<uint64_t, at::Tensor> denoised(const Pipeline& pipeline, const std::vector<uint64_t>& seeds,
                                        RowCalls calls) {
  DenoisingRows rows(pipeline, calls);
  RecentPrompts recent;
  for (const uint64_t seed : seeds) {
    Request request = request_of(pipeline);
    request.seeds = {seed};
    rows.join(seed, request, pipeline.material(request, recent));
  }
  std::map<uint64_t, at::Tensor> latents;
  while (rows.size() > 0) {
    for (const DenoisedRow& row : rows.advance()) {
      EXPECT_EQ(row.failed_stage, "");
      latents[row.ticket] = row.latents.cpu();
    }
  }
  return latents;
}

TEST_P(OnAGpu, APictureOfABatchIsTheOneDrawnAlone) {
  const Pipeline gpu = pipeline(at::kHalf, the_gpu());
  const auto apart = denoised(gpu, {1, 2, 3}, RowCalls::kApart);
  const auto together = denoised(gpu, {1, 2, 3}, RowCalls::kTogether);
  for (const uint64_t seed : {1U, 2U, 3U}) {
    const at::Tensor alone = denoised(gpu, {seed}, RowCalls::kTogether).at(seed);
    EXPECT_TRUE(apart.at(seed).equal(alone)) << "calls apart must not depend on neighbours";
    expect_close(together.at(seed), alone, "latents of a shared call", 0.05);
  }
}

TEST_P(OnAGpu, SamplersAndThresholdsWorkThere) {
  const Pipeline cpu = pipeline(at::kFloat, nullptr);
  const Pipeline gpu = pipeline(at::kFloat, the_gpu());
  for (const char* sampler :
       {"ddim", "ddpm", "euler", "euler_a", "heun", "dpm2_a", "dpm++2s_a", "dpm++2m", "dpm++sde",
        "dpm++3m_sde", "lms", "plms", "ipndm", "deis", "unipc", "lcm", "tcd", "euler_cfg_pp"}) {
    PictureSettings settings;
    settings.sampler = sampler;
    if (std::string(sampler) == "euler") settings.mimic_scale = 4;
    if (std::string(sampler) == "heun") settings.cfg_rescale = 0.7;
    SCOPED_TRACE(sampler);
    expect_close(drawn_by(gpu, settings).latents, drawn_by(cpu, settings).latents, "latents", 2e-3);
  }
}

TEST_P(OnAGpu, StreamedWeightsChangeNoBit) {
  const auto streaming = std::make_shared<StreamingGpu>(the_gpu());
  const Pipeline resident = pipeline(at::kHalf, the_gpu());
  const Pipeline streamed = pipeline(at::kHalf, streaming);
  const Generation wanted = drawn_by(resident);
  EXPECT_EQ(streaming->hosted(), 0);
  for (int round = 0; round < 3; ++round) {  // from the second on the words' weights are streamed, too
    const Generation made = drawn_by(streamed);
    EXPECT_GT(streaming->hosted(), 0);
    EXPECT_TRUE(made.latents.equal(wanted.latents));
    for (size_t i = 0; i < made.pictures.size(); ++i) {
      EXPECT_EQ(made.pictures[i].picture->pixels, wanted.pictures[i].picture->pixels);
      EXPECT_EQ(made.pictures[i].notes, std::vector<std::string>{"weights_streamed memory"});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, OnAGpu, ::testing::Values("sd1", "sd2", "sdxl"));

}  // namespace
}  // namespace brume::testing

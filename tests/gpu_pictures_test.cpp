#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "gpu_double.h"
#include "own_unet.h"
#include "reference_case.h"
#include "streaming_gpu.h"
#include "temporary_directory.h"

// Whole pictures on a double of a GPU: what is recorded, deferred and waited for changes no bit of them.
namespace brume::testing {
namespace {

struct Drawing {
  const char* name;
  const char* model = "sd1";  // of tests/reference, or a UNet of its pictures
  PictureSettings settings = {};
  const char* edited = nullptr;  // the pictures of a reference case
  int64_t shapes = 1;            // of calls that are recorded
};

std::ostream& operator<<(std::ostream& out, const Drawing& drawing) { return out << drawing.name; }

/// Keeps all stages, and looks how far the steps are before the GPU.
class Watcher : public Observer {
 public:
  explicit Watcher(const GpuDouble* gpu = nullptr) : gpu_(gpu) {}
  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    stages.insert_or_assign(std::string(name), tensor);
  }
  void on_step(int64_t done, int64_t /*total*/) override {
    if (gpu_ == nullptr) return;
    EXPECT_EQ(gpu_->count("mark"), done);
    EXPECT_GE(gpu_->count("wait"), done - 2);
  }
  std::map<std::string, at::Tensor> stages;

 private:
  const GpuDouble* gpu_;
};

void expect_same(const Generation& made, const Generation& wanted) {
  EXPECT_TRUE(made.latents.equal(wanted.latents));
  ASSERT_EQ(made.pictures.size(), wanted.pictures.size());
  for (size_t i = 0; i < made.pictures.size(); ++i) {
    ASSERT_TRUE(made.pictures[i].picture) << made.pictures[i].failed_stage;
    EXPECT_EQ(made.pictures[i].picture->pixels, wanted.pictures[i].picture->pixels);
    EXPECT_EQ(made.pictures[i].notes, wanted.pictures[i].notes);
  }
}

class OnADouble : public TemporaryDirectory, public ::testing::WithParamInterface<Drawing> {
 protected:
  std::unique_ptr<Pipeline> pipeline(std::shared_ptr<const kernels::gpu::Gpu> gpu) const {
    const std::string name = GetParam().model;
    const std::filesystem::path model = name.find('_') == std::string::npos
                                            ? reference_path(name)
                                            : own_unet_model(directory_ / "model", name);
    return std::make_unique<Pipeline>(ModelConfig(model), at::kFloat, std::move(gpu));
  }

  static Request request(const Pipeline& pipeline, std::vector<uint64_t> seeds) {
    PictureSettings settings = GetParam().settings;
    if (!settings.prompt) settings.prompt = "a fox";
    if (!settings.steps) settings.steps = 4;
    settings.width = 40;
    settings.height = 24;
    if (const char* const edited = GetParam().edited) {
      const std::filesystem::path pictures = reference_path("pictures") / edited;
      settings.init_img = pictures / "init.png";
      if (std::filesystem::exists(pictures / "mask.png")) settings.mask = pictures / "mask.png";
    }
    return pipeline.model().resolve(settings, std::move(seeds));
  }
};

TEST_P(OnADouble, ThePictureIsTheCpus) {
  const auto gpu = std::make_shared<GpuDouble>();
  const auto here = pipeline(nullptr);
  const auto there = pipeline(gpu);
  const Request wanted = request(*here, {7, 8});
  Watcher here_seen;
  Watcher there_seen(gpu.get());
  const Generation drawn = here->generate(wanted, here_seen);
  expect_same(there->generate(wanted, there_seen), drawn);
  ASSERT_EQ(there_seen.stages.size(), here_seen.stages.size());
  for (const auto& [name, tensor] : here_seen.stages)
    EXPECT_TRUE(there_seen.stages.at(name).equal(tensor)) << name;
  EXPECT_EQ(gpu->count("capture"), GetParam().shapes);
  Observer unseen;
  expect_same(there->generate(wanted, unseen), drawn);
  EXPECT_EQ(gpu->count("capture"), GetParam().shapes);  // by the graphs that are there
}

TEST_P(OnADouble, StreamedWeightsChangeNoBit) {
  if (GetParam().shapes == 0) return;  // nothing is recorded, which is what has no room
  const auto gpu = std::make_shared<StreamingGpu>(std::make_shared<GpuDouble>());
  const auto here = pipeline(nullptr);
  const auto there = pipeline(gpu);
  EXPECT_EQ(gpu->hosted(), 0);
  const Request request = this->request(*here, {7, 8});
  Observer unseen;
  Generation drawn = here->generate(request, unseen);
  for (PictureResult& picture : drawn.pictures) picture.notes.emplace_back("weights_streamed memory");
  int64_t hosted = 0;
  for (int round = 0; round < 2; ++round) {  // the second has its words' weights streamed, too
    expect_same(there->generate(request, unseen), drawn);
    EXPECT_GT(gpu->hosted(), hosted);
    hosted = gpu->hosted();
  }
  expect_same(there->generate(request, unseen), drawn);
  EXPECT_EQ(gpu->hosted(), hosted);
}

/// Another picture of that size is on its way with it, and begins before it.
std::vector<PictureResult> by_rows(const Pipeline& pipeline, const std::vector<Request>& requests,
                                   RowCalls calls) {
  DenoisingRows rows(pipeline, calls);
  RecentPrompts recent;
  std::vector<PictureResult> pictures(requests.size());
  for (size_t next = 0; next < requests.size() || rows.size() > 0;) {
    if (next < requests.size()) {
      rows.join(next, requests[next], pipeline.material(requests[next], recent));
      ++next;
    }
    for (const DenoisedRow& row : rows.advance()) {
      EXPECT_EQ(row.failed_stage, "");
      pictures[row.ticket] = pipeline.decode(requests[row.ticket], row.latents, row.inputs);
    }
  }
  return pictures;
}

TEST_P(OnADouble, RowsAreTheCpus) {
  const auto gpu = std::make_shared<GpuDouble>();
  const auto here = pipeline(nullptr);
  const auto there = pipeline(gpu);
  const std::vector<Request> requests{request(*here, {5}), request(*here, {6}), request(*here, {7})};
  for (const RowCalls calls : {RowCalls::kApart, RowCalls::kTogether}) {
    const std::vector<PictureResult> wanted = by_rows(*here, requests, calls);
    const std::vector<PictureResult> made = by_rows(*there, requests, calls);
    for (size_t i = 0; i < requests.size(); ++i) {
      ASSERT_TRUE(made[i].picture);
      EXPECT_EQ(made[i].picture->pixels, wanted[i].picture->pixels) << "picture " << i;
    }
  }
  EXPECT_EQ(gpu->count("capture") > 0, GetParam().shapes > 0);
  EXPECT_GE(gpu->count("wait") + 4, gpu->count("mark"));
}

std::vector<Drawing> drawings() {
  std::vector<Drawing> all{{"sd1"}, {"sd2", "sd2"}, {"sdxl", "sdxl"}};
  const auto with = [&](Drawing drawing, const auto& change) {
    change(drawing.settings);
    all.push_back(drawing);
  };
  // The negative prompt's rows are left out after the interval; windows and parts of other lengths are other
  // shapes.
  with({.name = "interval", .shapes = 2}, [](PictureSettings& s) { s.guidance_end = 0.5; });
  with({.name = "unguided"}, [](PictureSettings& s) { s.cfg_scale = 1; });
  with({.name = "parts", .shapes = 3}, [](PictureSettings& s) {
    s.prompt = "two owls AND the castle on the hill with light and water and a cat in it, [fox:hen:2] :0.5";
  });
  with({.name = "heun", .model = "sdxl"}, [](PictureSettings& s) { s.sampler = "heun"; });
  with({.name = "noisy"}, [](PictureSettings& s) { s.sampler = "dpm++sde"; });
  with({.name = "tiles"}, [](PictureSettings& s) { s.vae_tiling = true; });
  with({.name = "image_to_image", .edited = "img2img_sd1_ddim"},
       [](PictureSettings& s) { s.strength = 0.6; });
  with({.name = "masked", .edited = "inpaint_sd1_ddim"}, [](PictureSettings& s) { s.strength = 0.8; });
  with({.name = "inpainting", .model = "inpaint_sd1", .edited = "inpaint_sd1_ddim"},
       [](PictureSettings& s) { s.strength = 1; });
  with({.name = "instructed", .model = "pix2pix_sd1", .edited = "img2img_sd1_ddim"},
       [](PictureSettings& s) { s.image_cfg_scale = 1.5; });
  // What hangs on the row is not recorded.
  with({.name = "perturbed", .shapes = 0}, [](PictureSettings& s) { s.pag_scale = 2; });
  with({.name = "freeu", .shapes = 0}, [](PictureSettings& s) { s.freeu = "1.2,1.3,0.9,0.8"; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(Drawings, OnADouble, ::testing::ValuesIn(drawings()),
                         [](const auto& drawing) { return std::string(drawing.param.name); });

TEST(OverflowOnADouble, IsFoundAtTheStageOfTheCpu) {
  const auto gpu = std::make_shared<GpuDouble>();
  const Pipeline here(ModelConfig(reference_path("sd1")), at::kFloat);
  const Pipeline there(ModelConfig(reference_path("sd1")), at::kFloat, gpu);
  PictureSettings settings;
  settings.prompt = "a red fox";
  settings.steps = 4;
  settings.width = settings.height = 24;
  for (const size_t broken : {1, 2}) {  // of two; where all are, the CPU stops after the step
    Request request = here.model().resolve(settings, {7, 8});
    const auto [channels, height, width] = here.model().latent_sizes(request);
    request.init_latents = at::ones({2, channels, height, width});
    request.init_latents->narrow(0, 0, static_cast<int64_t>(broken))
        .fill_(std::numeric_limits<float>::infinity());
    Observer unseen;
    const Generation wanted = here.generate(request, unseen);
    const Generation made = there.generate(request, unseen);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(made.pictures[i].failed_stage, i < broken ? "latents after step 1" : "");
      EXPECT_EQ(wanted.pictures[i].failed_stage, made.pictures[i].failed_stage);
      ASSERT_EQ(made.pictures[i].picture.has_value(), i >= broken);
      if (i < broken) continue;
      EXPECT_EQ(made.pictures[i].picture->pixels, wanted.pictures[i].picture->pixels);
    }
  }
}

}  // namespace
}  // namespace brume::testing

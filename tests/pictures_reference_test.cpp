#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "brume/image/picture_file.h"
#include "brume/image/resize.h"
#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "reference_case.h"

// Pictures that are drawn from pictures, against diffusers' pipelines; and how pictures are read, against
// Pillow.
namespace brume::testing {
namespace {

class StepKeeper : public Observer {
 public:
  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    if (name.starts_with("latents_step")) latents.push_back(tensor);
  }
  std::vector<at::Tensor> latents;
};

Request request_of(const ReferenceCase& reference, const ModelConfig& model) {
  const nlohmann::json& run = reference.parameters();
  PictureSettings settings;
  settings.prompt = run["prompt"].get<std::string>();
  if (!run["negative_prompt"].is_null()) settings.negative_prompt = run["negative_prompt"].get<std::string>();
  settings.steps = run["steps"].get<int64_t>();
  settings.cfg_scale = run["guidance_scale"].get<double>();
  settings.sampler = run["sampler"].get<std::string>();
  if (run["spacing"] != "model") settings.scheduler = run["spacing"].get<std::string>();
  if (run["eta"] != 0) settings.eta = run["eta"].get<double>();
  settings.strength = run["strength"].get<double>();
  settings.init_img = reference.path() / "init.png";
  settings.compat = "diffusers";
  std::vector<uint64_t> seeds;
  for (uint64_t k = 0; k < run["batch"].get<uint64_t>(); ++k)
    seeds.push_back(run["seed"].get<uint64_t>() + k);
  return model.resolve(settings, seeds);
}

/// With another autoencoder where the case names one.
ModelConfig model_of(const ReferenceCase& reference) {
  const nlohmann::json& run = reference.parameters();
  ModelChoices choices;
  if (run.contains("vae")) choices.vae = reference_path(run["vae"]);
  return {reference_path(run["model"]), choices};
}

class EditedPicture : public ::testing::TestWithParam<std::string> {};

TEST_P(EditedPicture, AgreesWithDiffusersAtEveryStep) {
  const ReferenceCase reference("pictures/" + GetParam());
  const Pipeline pipeline(model_of(reference), at::kFloat);
  const Request request = request_of(reference, pipeline.model());
  EXPECT_EQ(request.width, reference.parameters()["width"]);
  EXPECT_EQ(request.height, reference.parameters()["height"]);
  StepKeeper steps;
  pipeline.generate(request, steps);
  ASSERT_EQ(steps.latents.size(), static_cast<size_t>(request.sampling.steps_taken()));
  for (size_t k = 0; k < steps.latents.size(); ++k) {
    const std::string name = "latents_step" + std::to_string(k);
    expect_close(steps.latents[k], reference.tensor(name), name);
  }
  EXPECT_FALSE(reference.has("latents_step" + std::to_string(steps.latents.size())));
}

TEST_P(EditedPicture, IsTheSameAmongOthersInABatch) {
  const ReferenceCase reference("pictures/" + GetParam());
  const Pipeline pipeline(model_of(reference), at::kFloat);
  Request request = request_of(reference, pipeline.model());
  request.seeds.resize(1);
  Request other = request;  // of words alone, and of other steps
  other.edit.reset();
  other.sampling.first_step = 0;
  other.seeds = {5};
  Observer unseen;
  const at::Tensor alone = pipeline.generate(request, unseen).latents;
  const at::Tensor other_alone = pipeline.generate(other, unseen).latents;
  DenoisingRows rows(pipeline, RowCalls::kTogether);
  rows.join(0, other, pipeline.material(other, unseen));
  rows.advance();
  rows.join(1, request, pipeline.material(request, unseen));
  while (rows.size() > 0) {
    for (const DenoisedRow& row : rows.advance())
      expect_close(row.latents, row.ticket == 1 ? alone : other_alone, "row", 1e-5);
  }
}

std::vector<std::string> image_to_image() {
  std::vector<std::string> names;
  for (const std::string name :
       {"sd1_ddim",  "sd1_ddim_eta",     "sd1_ddim_whole",     "sd1_ddim_cut", "sd1_ddpm",
        "sd1_euler", "sd1_euler_karras", "sd1_euler_whole",    "sd1_euler_a",  "sd1_heun",
        "sd1_dpm2",  "sd1_dpmpp2m",      "sd1_dpmpp2m_karras", "sd1_deis",     "sd1_unipc",
        "sd1_lcm",   "sd2_ddim",         "sd2_euler_a",        "sdxl_euler",   "sdxl_dpmpp2m",
        "sd1_tiny_vae", "refiner_euler", "refiner_no_negative"})
    names.push_back("img2img_" + name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(ImageToImage, EditedPicture, ::testing::ValuesIn(image_to_image()),
                         [](const auto& name) { return name.param; });

TEST(ReadPictures, AreThoseOfPillow) {
  const ReferenceCase reference("pictures/reading");
  for (const std::string name : reference.parameters()["files"]) {
    SCOPED_TRACE(name);
    const PictureFile file = look_at_picture(reference.path() / name, "--init-img");
    const at::Tensor wanted = reference.integers(name);  // [H, W, 3]
    EXPECT_EQ(file.size.width, wanted.size(1));
    EXPECT_EQ(file.size.height, wanted.size(0));
    const Picture picture = read_picture(file);
    ASSERT_EQ(static_cast<int64_t>(picture.pixels.size()), wanted.numel());
    const at::Tensor ours = at::tensor(at::ArrayRef<uint8_t>(picture.pixels)).to(at::kLong);
    EXPECT_LE((ours - wanted.flatten()).abs().max().item<int64_t>(), 1);
  }
}

TEST(ResizedPictures, AreThoseOfPillow) {
  const ReferenceCase reference("pictures/reading");
  const Picture picture = read_picture(look_at_picture(reference.path() / "plain.png", "--init-img"));
  for (const auto& [name, size] : reference.parameters()["resized"].items()) {
    SCOPED_TRACE(name);
    const Picture resized = resize_lanczos(picture, {size[0], size[1]});
    const at::Tensor ours = at::tensor(at::ArrayRef<uint8_t>(resized.pixels)).to(at::kLong);
    EXPECT_TRUE(ours.equal(reference.integers(name).flatten()));
  }
}

}  // namespace
}  // namespace brume::testing

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "brume/image/picture_file.h"
#include "brume/image/resize.h"
#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/weights.h"
#include "own_unet.h"
#include "reference_case.h"
#include "temporary_directory.h"

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
  if (run.contains("image_guidance_scale"))
    settings.image_cfg_scale = run["image_guidance_scale"].get<double>();
  else
    settings.strength = run["strength"].get<double>();
  if (run.contains("pag_scale")) settings.pag_scale = run["pag_scale"].get<double>();
  settings.init_img = reference.path() / "init.png";
  const std::filesystem::path mask = reference.path() / "mask.png";
  if (std::filesystem::exists(mask)) settings.mask = mask;
  settings.compat = "diffusers";
  std::vector<uint64_t> seeds;
  for (uint64_t k = 0; k < run["batch"].get<uint64_t>(); ++k)
    seeds.push_back(run["seed"].get<uint64_t>() + k);
  return model.resolve(settings, seeds);
}

class EditedPicture : public TemporaryDirectory, public ::testing::WithParamInterface<std::string> {
 protected:
  /// A tiny model, with another autoencoder or around a UNet of the case's own where it names one.
  ModelConfig model() const {
    const nlohmann::json& run = reference_.parameters();
    ModelChoices choices;
    if (run.contains("vae")) choices.components["vae"] = reference_path(run["vae"]);
    if (!run.contains("unet")) return ModelConfig(reference_path(run["model"]), choices);
    return ModelConfig(own_unet_model(directory_ / "model", run["unet"]));
  }

  const ReferenceCase reference_{"pictures/" + GetParam()};
};

TEST_P(EditedPicture, AgreesWithDiffusersAtEveryStep) {
  const ReferenceCase& reference = reference_;
  const Pipeline pipeline(model(), at::kFloat);
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

/// Has the encoder overflow in fp16, although nothing in the model's configuration says so.
void overflow(const std::filesystem::path& model) {
  const std::filesystem::path config = model / "vae/config.json";
  nlohmann::json values = nlohmann::json::parse(std::ifstream(config));
  values["force_upcast"] = false;
  std::ofstream(config) << values;

  const std::filesystem::path file = model / "vae/diffusion_pytorch_model.safetensors";
  std::map<std::string, at::Tensor> all;
  {
    const Weights weights = Weights::open_file(file);
    const WeightsView view = weights.view(at::kFloat);
    for (const std::string& name : weights.names()) all[name] = view.tensor(name, view.shape(name)).clone();
  }
  // The group norms behind it make its map an ordinary one again.
  all.at("encoder.mid_block.resnets.0.conv2.weight").mul_(100'000);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : all) {
    tensors.push_back({name,
                       StoredType::kF32,
                       {tensor.sizes().begin(), tensor.sizes().end()},
                       {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  write_safetensors(file, tensors, {});
}

using Encoding = TemporaryDirectory;

TEST_F(Encoding, ThatOverflowsOpensTheAutoencoderInFp32Once) {
  const std::filesystem::path model = directory_ / "model";
  std::filesystem::copy(reference_path("sd1"), model, std::filesystem::copy_options::recursive);
  overflow(model);
  const Pipeline pipeline(ModelConfig(model), at::kHalf);
  PictureSettings settings;
  settings.prompt = "a fox";
  settings.init_img = reference_path("pictures/reading") / "plain.png";
  const Request request = pipeline.model().resolve(settings, {1});
  const PictureInputs first = pipeline.picture_inputs(request);
  EXPECT_EQ(first.notes, std::vector<std::string>{"vae_fallback fp32"});
  EXPECT_TRUE(first.picture->mean.equal(
      Pipeline(ModelConfig(model), at::kFloat).picture_inputs(request).picture->mean));
  std::filesystem::remove_all(model / "vae");  // it is not opened again
  EXPECT_TRUE(pipeline.picture_inputs(request).picture->mean.equal(first.picture->mean));
}

/// Another picture of the model, with other rows of the UNet and, where it can be, other steps.
Request unlike(const Request& request, ModelTask task) {
  Request other = request;
  other.seeds = {5};
  switch (task) {
    case ModelTask::kDraw:  // of words alone
      other.edit.reset();
      other.sampling.first_step = 0;
      break;
    case ModelTask::kRefine:
    case ModelTask::kInpaint:
      other.edit->strength = 0.5;
      other.sampling.first_step = first_step_of(other.sampling.steps, 0.5);
      break;
    case ModelTask::kEdit:
      other.guidance.scale = 3;
      other.guidance.image_scale = 1;
      break;
  }
  return other;
}

TEST_P(EditedPicture, IsTheSameAmongOthersInABatch) {
  const Pipeline pipeline(model(), at::kFloat);
  Request request = request_of(reference_, pipeline.model());
  request.seeds.resize(1);
  const Request other = unlike(request, pipeline.model().task());
  Observer unseen;
  RecentPrompts recent;
  const Generation alone = pipeline.generate(request, unseen);
  const Generation other_alone = pipeline.generate(other, unseen);
  for (const RowCalls calls : {RowCalls::kTogether, RowCalls::kApart}) {
    DenoisingRows rows(pipeline, calls);
    rows.join(0, other, pipeline.material(other, recent));
    rows.advance();
    rows.join(1, request, pipeline.material(request, recent));
    while (rows.size() > 0) {
      for (const DenoisedRow& row : rows.advance()) {
        const Generation& wanted = row.ticket == 1 ? alone : other_alone;
        expect_close(row.latents, wanted.latents, "row", 1e-5);
        if (calls == RowCalls::kTogether) continue;
        EXPECT_TRUE(row.latents.equal(wanted.latents));
        const PictureResult decoded =
            pipeline.decode(row.ticket == 1 ? request : other, row.latents, row.inputs);
        EXPECT_EQ(decoded.picture->pixels, wanted.pictures.front().picture->pixels);
      }
    }
  }
}

std::vector<std::string> image_to_image() {
  std::vector<std::string> names;
  for (const std::string name :
       {"sd1_ddim",     "sd1_ddim_eta",     "sd1_ddim_whole",     "sd1_ddim_cut", "sd1_ddpm",
        "sd1_euler",    "sd1_euler_karras", "sd1_euler_whole",    "sd1_euler_a",  "sd1_heun",
        "sd1_dpm2",     "sd1_dpmpp2m",      "sd1_dpmpp2m_karras", "sd1_deis",     "sd1_unipc",
        "sd1_lcm",      "sd2_ddim",         "sd2_euler_a",        "sdxl_euler",   "sdxl_dpmpp2m",
        "sd1_tiny_vae", "refiner_euler",    "refiner_no_negative"})
    names.push_back("img2img_" + name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(ImageToImage, EditedPicture, ::testing::ValuesIn(image_to_image()),
                         [](const auto& name) { return name.param; });

std::vector<std::string> repainted() {
  std::vector<std::string> names;
  for (const std::string name :
       {"sd1_ddim",      "sd1_ddim_part",      "sd1_ddim_eta",     "sd1_ddpm",
        "sd1_euler",     "sd1_euler_part",     "sd1_euler_karras", "sd1_euler_a",
        "sd1_heun",      "sd1_heun_part",      "sd1_dpmpp2m",      "sd1_dpmpp2m_part",
        "sd1_deis",      "sd1_unipc",          "sd1_lcm",          "sd1_mask_size",
        "sd1_pag",       "sd2_ddim",           "sdxl_euler",       "sdxl_dpmpp2m_part",
        "unet_sd1_ddim", "unet_sd1_ddim_part", "unet_sd1_euler_a", "unet_sd1_heun",
        "unet_sd1_pag",  "unet_sdxl_euler"})
    names.push_back("inpaint_" + name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Inpainting, EditedPicture, ::testing::ValuesIn(repainted()),
                         [](const auto& name) { return name.param; });

std::vector<std::string> instructed() {
  std::vector<std::string> names;
  for (const std::string name :
       {"sd1_euler", "sd1_ddim_one", "sd1_euler_a", "sd1_dpmpp2m", "sd1_heun", "sd1_unguided", "sdxl_euler"})
    names.push_back("pix2pix_" + name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(InstructPix2Pix, EditedPicture, ::testing::ValuesIn(instructed()),
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

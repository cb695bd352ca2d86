#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <fstream>
#include <map>
#include <memory>
#include <span>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/image/picture_file.h"
#include "brume/pipeline/model_config.h"
#include "brume/pipeline/model_file.h"
#include "brume/pipeline/pipeline.h"
#include "brume/weights/checkpoint.h"
#include "brume/weights/component_file.h"
#include "brume/weights/weights.h"
#include "message_of.h"
#include "reference_case.h"
#include "single_file_case.h"
#include "temporary_directory.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// A file of which only the header is ever read.
class HeaderOnly : public TensorFile {
 public:
  explicit HeaderOnly(SafetensorsHeader header) : header_(std::move(header)) {}
  const fs::path& path() const override { return path_; }
  const SafetensorsHeader& header() const override { return header_; }
  void read(const StoredTensor& /*tensor*/, std::span<std::byte> /*out*/) const override { FAIL(); }
  void read_part(const StoredTensor& /*tensor*/, uint64_t /*first*/,
                 std::span<std::byte> /*out*/) const override {
    FAIL();
  }

 private:
  fs::path path_ = "model.safetensors";
  SafetensorsHeader header_;
};

Checkpoint checkpoint_of(SafetensorsHeader header, const std::optional<std::string>& prediction = {}) {
  return Checkpoint(std::make_shared<HeaderOnly>(std::move(header)), prediction);
}

StoredTensor& tensor_of(SafetensorsHeader& header, const std::string& name) {
  for (StoredTensor& tensor : header.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::out_of_range(name);
}

Encoding encoded_as(const std::string& name) {
  const std::map<std::string, at::ScalarType> types{
      {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"F8_E4M3", at::kFloat8_e4m3fn}};
  return {*stored_type_from_name(name), [type = types.at(name)](const std::vector<float>& values) {
            const at::Tensor stored = at::tensor(values).to(type);
            const auto* first = static_cast<const std::byte*>(stored.data_ptr());
            return std::vector<std::byte>(first, first + stored.nbytes());
          }};
}

/// CLIP's tokenizer in small: the encoders have rows for more.
ModelChoices small_words() {
  ModelChoices choices;
  choices.vocabulary = reference_path("sd1") / "tokenizer";
  return choices;
}

std::string digest_of(const at::Tensor& tensor) {
  const at::Tensor values = tensor.to(at::kFloat).contiguous();
  const auto* first = static_cast<const std::byte*>(values.const_data_ptr());
  return hex_digits(sha256({first, values.nbytes()}));
}

at::Tensor tensor_named(const Weights& weights, const std::string& name) {
  const WeightsView view = weights.view(at::kFloat);
  return view.tensor(name, view.shape(name));
}

class OneFile : public TemporaryDirectory {
 protected:
  /// The family's file, stored as the reference has it.
  fs::path file_of(const std::string& family, const std::string& stored = {}) const {
    const SingleFileCase single(family);
    fs::path file = directory_ / (family + ".safetensors");
    single.write(file,
                 encoded_as(stored.empty() ? single.parameters()["stored"].get<std::string>() : stored));
    return file;
  }

  /// The same model as a directory in diffusers layout, with diffusers' configurations and tensors.
  fs::path directory_of(const std::string& family, const fs::path& file) const {
    const SingleFileCase single(family);
    const fs::path directory = directory_ / family;
    const Checkpoint checkpoint(std::make_shared<SafetensorsFile>(file));
    for (const auto& [component, names] : single.parameters()["converted"].items()) {
      const Weights weights = Weights::part_of(checkpoint.file(), checkpoint.component(component), component);
      std::vector<at::Tensor> kept;
      std::vector<TensorToWrite> tensors;
      for (const auto& [name, unused] : names.items()) {
        kept.push_back(tensor_named(weights, name));
        const std::vector<uint64_t> shape(kept.back().sizes().begin(), kept.back().sizes().end());
        tensors.push_back({name,
                           StoredType::kF32,
                           shape,
                           {static_cast<const std::byte*>(kept.back().data_ptr()), kept.back().nbytes()}});
      }
      fs::create_directories(directory / component);
      const bool text = component.starts_with("text");
      write_safetensors(
          directory / component / (text ? "model.safetensors" : "diffusion_pytorch_model.safetensors"),
          tensors, {});
    }
    const std::map<std::string, const char*> pipelines{{"sdxl", "StableDiffusionXLPipeline"},
                                                       {"refiner", "StableDiffusionXLImg2ImgPipeline"}};
    const auto pipeline = pipelines.find(family);
    nlohmann::json index{
        {"_class_name", pipeline != pipelines.end() ? pipeline->second : "StableDiffusionPipeline"},
        {"unet", {"diffusers", "UNet2DConditionModel"}},
        {"vae", {"diffusers", "AutoencoderKL"}}};
    if (family == "refiner") {
      index["requires_aesthetics_score"] = true;
      index["force_zeros_for_empty_prompt"] = false;
    }
    for (const std::string suffix : {"", "_2"}) {
      if (!single.parameters()["configs"].contains("text_encoder" + suffix)) continue;
      index["text_encoder" + suffix] = {"transformers",
                                        suffix.empty() ? "CLIPTextModel" : "CLIPTextModelWithProjection"};
      index["tokenizer" + suffix] = {"transformers", "CLIPTokenizer"};
    }
    std::ofstream(directory / "model_index.json") << index;
    fs::create_directories(directory / "scheduler");
    for (const auto& [part, config] : single.parameters()["configs"].items())
      std::ofstream(directory / part / (part == "scheduler" ? "scheduler_config.json" : "config.json"))
          << config;
    // It pads with the end mark, OpenCLIP with the id 0.
    for (const std::string suffix : {"", "_2"}) {
      if (!index.contains("tokenizer" + suffix)) continue;
      const fs::path tokenizer = directory / ("tokenizer" + suffix);
      fs::copy(reference_path("sd1") / "tokenizer", tokenizer);
      if (family != "sd2" && suffix.empty()) continue;
      for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
        nlohmann::json values;
        std::ifstream(tokenizer / name) >> values;
        values["pad_token"] = "!";
        std::ofstream(tokenizer / name) << values;
      }
    }
    return directory;
  }
};

class SingleFile : public OneFile, public ::testing::WithParamInterface<std::string> {};

Request small_request(const std::string& family = "sd1") {
  Request request;
  request.prompt = "a red fox!";
  request.width = request.height = 64;
  request.sampling.steps = 2;
  request.guidance.scale = 5;
  request.seeds = {7};
  if (family == "refiner") {
    request.edit = {look_at_picture(reference_path("pictures/reading") / "plain.png", "--init-img"), 0.5};
    request.sampling.first_step = 1;
  }
  return request;
}

TEST_P(SingleFile, EveryTensorIsThatOfDiffusers) {
  const SingleFileCase single(GetParam());
  const Checkpoint checkpoint(std::make_shared<SafetensorsFile>(file_of(GetParam())));
  size_t compared = 0;
  for (const auto& [component, names] : single.parameters()["converted"].items()) {
    const Weights weights = Weights::part_of(checkpoint.file(), checkpoint.component(component), component);
    EXPECT_EQ(weights.unused().size(), names.size()) << component;
    for (const auto& [name, digest] : names.items()) {
      ASSERT_TRUE(weights.view(at::kFloat).contains(name)) << component << ": " << name;
      const std::string wanted = digest;
      EXPECT_EQ(digest_of(tensor_named(weights, name)).substr(0, wanted.size()), wanted)
          << component << ": " << name;
      ++compared;
    }
  }
  EXPECT_GT(compared, 500U);
}

TEST_P(SingleFile, ConfigurationsAreThoseOfDiffusers) {
  const SingleFileCase single(GetParam());
  const Checkpoint checkpoint = checkpoint_of(single.header());
  std::vector<std::string> unread;
  for (const auto& [part, values] : single.parameters()["configs"].items()) {
    SCOPED_TRACE(part);
    const ConfigFile ours(checkpoint.config(part), "ours");
    const ConfigFile theirs(values.dump(), "theirs");
    if (part == "unet") {
      EXPECT_EQ(UNetConfig::read(ours, unread), UNetConfig::read(theirs, unread));
    } else if (part == "vae") {
      EXPECT_EQ(VaeConfig::read(ours, unread), VaeConfig::read(theirs, unread));
    } else if (part == "scheduler") {
      EXPECT_EQ(NoiseScheduleConfig::read(ours, unread), NoiseScheduleConfig::read(theirs, unread));
    } else {
      EXPECT_EQ(ClipTextConfig::read(ours, unread), ClipTextConfig::read(theirs, unread));
    }
  }
}

TEST_P(SingleFile, GivesThePictureOfTheDirectory) {
  const fs::path file = file_of(GetParam());
  const fs::path directory = directory_of(GetParam(), file);
  const Pipeline from_file(ModelConfig(file, small_words()), at::kFloat);
  const Pipeline from_directory(ModelConfig(directory), at::kFloat);
  for (const std::string& remark : from_file.remarks())
    EXPECT_EQ(remark.find("unused weight"), std::string::npos) << remark;
  Observer unseen;
  const Generation ours = from_file.generate(small_request(GetParam()), unseen);
  const Generation theirs = from_directory.generate(small_request(GetParam()), unseen);
  EXPECT_TRUE(ours.latents.equal(theirs.latents));
  ASSERT_TRUE(ours.pictures[0].picture) << ours.pictures[0].failed_stage;
  EXPECT_EQ(ours.pictures[0].picture->pixels, theirs.pictures[0].picture->pixels);
  EXPECT_EQ(from_file.model().resolve({}, {1}).width, from_directory.model().resolve({}, {1}).width);
}

TEST_P(SingleFile, LeftoversAreListedInOneLine) {
  const Checkpoint checkpoint = checkpoint_of(SingleFileCase(GetParam()).header(), "epsilon");
  ASSERT_EQ(checkpoint.remarks().size(), 1U);
  const std::string& remark = checkpoint.remarks().front();
  EXPECT_EQ(remark.find("model.safetensors: not used: "), 0U) << remark;
  EXPECT_NE(remark.find("4 tensors of model_ema"), std::string::npos) << remark;
  EXPECT_NE(remark.find("betas"), std::string::npos) << remark;
  if (GetParam() == "sd1") {
    EXPECT_NE(remark.find("position_ids"), std::string::npos) << remark;
  }
  if (GetParam() == "sd2") {
    EXPECT_NE(remark.find("14 tensors of cond_stage_model"), std::string::npos) << remark;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SingleFile, ::testing::Values("sd1", "sd2", "sdxl", "refiner"),
                         [](const auto& name) { return name.param; });

TEST_F(OneFile, OfAUNetThatSeesMoreDrawsFromPictures) {
  for (const auto& [channels, task] :
       {std::pair<int64_t, ModelTask>{9, ModelTask::kInpaint}, {8, ModelTask::kEdit}}) {
    SingleFileCase single("sd1");
    single.set_input_channels(channels);
    const fs::path file = directory_ / (std::to_string(channels) + ".safetensors");
    single.write(file);
    const Pipeline pipeline(ModelConfig(file, small_words()), at::kFloat);
    EXPECT_EQ(pipeline.model().unet().in_channels, channels);
    EXPECT_EQ(pipeline.model().task(), task);
    PictureSettings settings;
    settings.prompt = "a fox";
    settings.steps = 2;
    settings.width = settings.height = 64;
    settings.init_img = reference_path("pictures/reading") / "plain.png";
    if (task == ModelTask::kInpaint) settings.mask = settings.init_img;
    Observer unseen;
    const Generation drawn = pipeline.generate(pipeline.model().resolve(settings, {1}), unseen);
    EXPECT_TRUE(drawn.pictures.front().picture) << drawn.pictures.front().failed_stage;
  }
}

class SingleFileStorage : public SingleFile {};

TEST_P(SingleFileStorage, IsReadAndDrawnInEveryDtype) {
  const fs::path file = file_of("sd1", GetParam());
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Pipeline pipeline(ModelConfig(file, small_words()), dtype);
    Observer unseen;
    EXPECT_TRUE(pipeline.generate(small_request(), unseen).pictures[0].picture) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(Storages, SingleFileStorage, ::testing::Values("F32", "F16", "BF16", "F8_E4M3"),
                         [](const auto& name) { return name.param; });

class FullSize : public ::testing::TestWithParam<std::string> {};

TEST_P(FullSize, ConfigurationsAreThoseOfTheArchitecture) {
  const Checkpoint checkpoint = checkpoint_of(full_size_header(GetParam()));
  const fs::path directory = fs::path(BRUME_PROJECT) / "models/architectures" / GetParam();
  const auto theirs = [&](const std::string& part) { return ConfigFile(directory / part / "config.json"); };
  std::vector<std::string> unread;
  EXPECT_EQ(UNetConfig::read(ConfigFile(checkpoint.config("unet"), "ours"), unread),
            UNetConfig::read(theirs("unet"), unread));
  EXPECT_EQ(VaeConfig::read(ConfigFile(checkpoint.config("vae"), "ours"), unread),
            VaeConfig::read(theirs("vae"), unread));
  for (const std::string text : {"text_encoder", "text_encoder_2"}) {
    if (!fs::exists(directory / text)) continue;
    EXPECT_EQ(ClipTextConfig::read(ConfigFile(checkpoint.config(text), "ours"), unread),
              ClipTextConfig::read(theirs(text), unread));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, FullSize, ::testing::Values("sd15", "sd21", "sdxl"),
                         [](const auto& name) { return name.param; });

/// A tower's tensors as transformers names them.
SafetensorsHeader clip_header(const std::string& prefix, size_t layers, uint64_t width) {
  SafetensorsHeader header;
  const auto add = [&](const std::string& name, std::vector<uint64_t> shape) {
    header.tensors.push_back({prefix + "text_model." + name, StoredType::kF16, std::move(shape), 0, 0});
  };
  const auto add_linear = [&](const std::string& name, uint64_t out, uint64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  };
  add("embeddings.token_embedding.weight", {49408, width});
  add("embeddings.position_embedding.weight", {77, width});
  for (size_t i = 0; i < layers; ++i) {
    const std::string layer = "encoder.layers." + std::to_string(i) + ".";
    for (const char* norm : {"layer_norm1", "layer_norm2"}) {
      add(layer + norm + ".weight", {width});
      add(layer + norm + ".bias", {width});
    }
    for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"})
      add_linear(layer + "self_attn." + part, width, width);
    add_linear(layer + "mlp.fc1", 4 * width, width);
    add_linear(layer + "mlp.fc2", width, 4 * width);
  }
  add("final_layer_norm.weight", {width});
  add("final_layer_norm.bias", {width});
  return header;
}

/// As diffusers' from_single_file and ComfyUI read it.
TEST(Towers, OfStableDiffusion2AreReadBeforeTheirLastLayer) {
  std::vector<std::string> unread;
  const ClipTextConfig theirs = ClipTextConfig::read(
      ConfigFile(fs::path(BRUME_PROJECT) / "models/architectures/sd21/text_encoder/config.json"), unread);
  for (const size_t layers : {24, 23}) {
    SafetensorsHeader header = full_size_header("sd21");
    std::erase_if(header.tensors, [](const StoredTensor& tensor) { return tensor.name.starts_with("cond"); });
    for (const StoredTensor& tensor : clip_header("cond_stage_model.transformer.", layers, 1024).tensors)
      header.tensors.push_back(tensor);
    EXPECT_EQ(checkpoint_family(header)->title, "Stable Diffusion 2");
    const Checkpoint checkpoint = checkpoint_of(header, "epsilon");
    EXPECT_EQ(ClipTextConfig::read(ConfigFile(checkpoint.config("text_encoder"), "ours"), unread), theirs);
    EXPECT_FALSE(
        checkpoint.component("text_encoder").contains("text_model.encoder.layers.23.layer_norm1.bias"));
    for (const char* prefix : {"", "clip_h.transformer.", "text_encoder."}) {
      const SafetensorsHeader alone = clip_header(prefix, layers, 1024);
      const ComponentTensors tower = find_component(alone, "text_encoder");
      EXPECT_EQ(ClipTextConfig::read(
                    ConfigFile(component_config_text("text_encoder", tower, {}, "ours"), "ours"), unread),
                theirs)
          << prefix;
    }
  }
  // Those of other models are read to their ends.
  const SafetensorsHeader deep = clip_header("", 24, 768);
  EXPECT_TRUE(find_component(deep, "text_encoder").contains("text_model.encoder.layers.23.layer_norm1.bias"));
  const SafetensorsHeader second = clip_header("", 24, 1280);
  EXPECT_TRUE(
      find_component(second, "text_encoder_2").contains("text_model.encoder.layers.23.layer_norm1.bias"));
}

TEST(Families, AreReadOffTheTensors) {
  const auto title_of = [](const SafetensorsHeader& header) { return checkpoint_family(header)->title; };
  EXPECT_EQ(title_of(full_size_header("sd15")), "Stable Diffusion 1");
  EXPECT_EQ(title_of(full_size_header("sd21")), "Stable Diffusion 2");
  EXPECT_EQ(title_of(full_size_header("sdxl")), "Stable Diffusion XL");
  EXPECT_EQ(checkpoint_family(full_size_header("sdxl"))->refusal, "");
  // Without its text towers a file is still told by its UNet.
  for (const auto& [name, title] : {std::pair{"sd15", "Stable Diffusion 1"},
                                    {"sd21", "Stable Diffusion 2"},
                                    {"sdxl", "Stable Diffusion XL"}}) {
    SafetensorsHeader header = full_size_header(name);
    std::erase_if(header.tensors, [](const StoredTensor& tensor) { return tensor.name.starts_with("cond"); });
    EXPECT_EQ(title_of(header), title);
    const Checkpoint checkpoint = checkpoint_of(header, "epsilon");
    EXPECT_NE(message_of([&] { checkpoint.component("text_encoder"); }, ExitCode::kModelInvalid)
                  .find("holds no text_encoder"),
              std::string::npos);
  }
  SafetensorsHeader other;
  other.tensors.push_back({"model.diffusion_model.joint_blocks.0.x", StoredType::kF16, {1}, 0, 2});
  EXPECT_FALSE(checkpoint_family(other));
  message_of([&] { checkpoint_of(other); }, ExitCode::kModelInvalid);
}

TEST(Families, ThatDrawFromPicturesAreToldApart) {
  struct Row {
    const char* model;
    uint64_t channels;
    const char* title;
  };
  for (const Row& row : {Row{"sd15", 9, "Stable Diffusion 1 for inpainting"},
                         Row{"sd15", 8, "Stable Diffusion 1 for editing pictures (instruct-pix2pix)"},
                         Row{"sd21", 9, "Stable Diffusion 2 for inpainting"},
                         Row{"sdxl", 9, "Stable Diffusion XL for inpainting"}}) {
    SafetensorsHeader header = full_size_header(row.model);
    tensor_of(header, "model.diffusion_model.input_blocks.0.0.weight").shape[1] = row.channels;
    const std::optional<CheckpointFamily> family = checkpoint_family(header);
    EXPECT_EQ(family->title, row.title);
    EXPECT_EQ(family->refusal, "");
  }
}

TEST(Families, ThatCannotDrawAreRefusedByWhatTheyAre) {
  struct Row {
    const char* model;
    uint64_t channels;
    const char* words;
  };
  constexpr const char* kFirst = "model.diffusion_model.input_blocks.0.0.weight";
  for (const Row& row : {Row{"sd21", 5, "Stable Diffusion 2 guided by depth: its UNet has 5 input channels"},
                         Row{"sd21", 7, "Stable Diffusion 2 for enlarging pictures"},
                         Row{"sdxl", 12, "Stable Diffusion XL with 12 input channels"}}) {
    SafetensorsHeader header = full_size_header(row.model);
    tensor_of(header, kFirst).shape[1] = row.channels;
    const auto checkpoint = std::make_shared<Checkpoint>(std::make_shared<HeaderOnly>(header));
    const std::string message =
        message_of([&] { ModelFile(checkpoint, "vocabulary"); }, ExitCode::kModelInvalid);
    EXPECT_NE(message.find(row.words), std::string::npos) << message;
    EXPECT_NE(message.find("use another model"), std::string::npos) << message;
  }
  // The refiner has the second tower of XL alone, as its first.
  SafetensorsHeader refiner = full_size_header("sdxl");
  std::erase_if(refiner.tensors, [](const StoredTensor& tensor) {
    return tensor.name.starts_with("conditioner.embedders.0.");
  });
  for (StoredTensor& tensor : refiner.tensors) {
    if (tensor.name.starts_with("conditioner.embedders.1."))
      tensor.name[std::string("conditioner.embedders.").size()] = '0';
  }
  EXPECT_EQ(checkpoint_family(refiner)->title, "Stable Diffusion XL refiner");
  EXPECT_EQ(checkpoint_family(refiner)->refusal, "");
  SafetensorsHeader edm = full_size_header("sdxl");
  edm.tensors.push_back({"edm_mean", StoredType::kF32, {4}, 0, 16});
  EXPECT_NE(checkpoint_family(edm)->refusal.find("EDM"), std::string::npos);
  SafetensorsHeader scaled = full_size_header("sd15");
  scaled.tensors.push_back({"model.diffusion_model.time_embed.0.scale_weight", StoredType::kF32, {}, 0, 4});
  EXPECT_NE(checkpoint_family(scaled)->refusal.find("scaled_fp8"), std::string::npos);
}

class Predictions : public TemporaryDirectory {
 protected:
  static NoiseScheduleConfig schedule_of(const Checkpoint& checkpoint) {
    std::vector<std::string> unread;
    return NoiseScheduleConfig::read(ConfigFile(checkpoint.config("scheduler"), "scheduler"), unread);
  }
  static Prediction predicted(const Checkpoint& checkpoint) { return schedule_of(checkpoint).prediction; }
  static SafetensorsHeader header_of(const std::string& model, const std::string& said,
                                     const std::vector<std::string>& markers = {}) {
    SafetensorsHeader header = full_size_header(model);
    if (!said.empty()) header.metadata["modelspec.prediction_type"] = said;
    for (const std::string& name : markers) header.tensors.push_back({name, StoredType::kF32, {}, 0, 4});
    return header;
  }
};

TEST_F(Predictions, ComeFromTheFileAndThenFromItsFamily) {
  EXPECT_EQ(predicted(checkpoint_of(header_of("sd15", ""))), Prediction::kEpsilon);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sd21", ""))), Prediction::kV);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sdxl", ""))), Prediction::kEpsilon);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sd15", "v"))), Prediction::kV);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sd21", "epsilon"))), Prediction::kEpsilon);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sdxl", "", {"v_pred"}))), Prediction::kV);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sdxl", "", {"v_pred"}), "epsilon")), Prediction::kEpsilon);
  EXPECT_EQ(predicted(checkpoint_of(header_of("sd15", ""), "sample")), Prediction::kSample);
  const std::string message =
      message_of([] { checkpoint_of(header_of("sd15", "flow")); }, ExitCode::kModelInvalid);
  EXPECT_NE(
      message.find("modelspec.prediction_type: \"flow\" is unknown; say what it predicts: --prediction"),
      std::string::npos)
      << message;
  EXPECT_EQ(predicted(checkpoint_of(header_of("sd15", "flow"), "v_prediction")), Prediction::kV);
}

/// As the one that there is, and as diffusers takes it.
TEST_F(Predictions, OfAStableDiffusion2ForInpaintingAreNoise) {
  SafetensorsHeader header = header_of("sd21", "");
  tensor_of(header, "model.diffusion_model.input_blocks.0.0.weight").shape[1] = 9;
  EXPECT_EQ(predicted(checkpoint_of(header)), Prediction::kEpsilon);
}

TEST_F(Predictions, TheMarkerOfNoSignalAtTheEndIsHeard) {
  EXPECT_FALSE(schedule_of(checkpoint_of(header_of("sdxl", "", {"v_pred"}))).zero_terminal_snr);
  const NoiseScheduleConfig config = schedule_of(checkpoint_of(header_of("sdxl", "", {"v_pred", "ztsnr"})));
  EXPECT_TRUE(config.zero_terminal_snr);
  EXPECT_EQ(config.spacing, TimestepSpacing::kTrailing);
}

TEST_F(Predictions, AreAssumedAloudForStableDiffusion2) {
  const Checkpoint assumed = checkpoint_of(header_of("sd21", ""));
  ASSERT_FALSE(assumed.remarks().empty());
  EXPECT_NE(assumed.remarks().front().find("does not say what it predicts; taken for v"), std::string::npos);
  std::vector<std::string> unread;
  EXPECT_EQ(UNetConfig::read(ConfigFile(assumed.config("unet"), "unet"), unread).sample_size, 96);
  const Checkpoint told = checkpoint_of(header_of("sd21", ""), "epsilon");
  EXPECT_EQ(UNetConfig::read(ConfigFile(told.config("unet"), "unet"), unread).sample_size, 64);
  SafetensorsHeader sized = header_of("sd21", "v");
  sized.metadata["modelspec.resolution"] = "512x512";
  EXPECT_EQ(UNetConfig::read(ConfigFile(checkpoint_of(sized).config("unet"), "unet"), unread).sample_size,
            64);
}

TEST_F(Predictions, TheStepsOfTheBaseModelMeanNoise) {
  const int64_t steps = 875'000;
  constexpr float kOne = 1;
  constexpr const char* kUNet = "model.diffusion_model.";
  const auto number = std::as_bytes(std::span(&steps, 1));
  const auto one = std::as_bytes(std::span(&kOne, 1));
  const std::vector<uint64_t> convolution{1, 1, 1, 1};
  write_safetensors(directory_ / "m.safetensors",
                    {{"global_step", StoredType::kI64, {}, number},
                     {"cond_stage_model.model.ln_final.bias", StoredType::kF32, {1}, one},
                     {kUNet + std::string("input_blocks.0.0.weight"), StoredType::kF32, convolution, one},
                     {kUNet + std::string("out.2.weight"), StoredType::kF32, convolution, one}},
                    {});
  EXPECT_EQ(predicted(Checkpoint(std::make_shared<SafetensorsFile>(directory_ / "m.safetensors"))),
            Prediction::kEpsilon);
}

class OtherParts : public OneFile {
 protected:
  /// What becomes of a file's tensors: of those below `from` all names begin with `to`, and the values of
  /// `marker`, if there is one, are zeros, to tell them by; the others stay, or go.
  struct Edit {
    std::string from;
    std::string to;
    std::string marker;
    bool others = false;
  };
  fs::path edited(const fs::path& original, const std::string& name, const Edit& edit) const {
    const SafetensorsFile file(original);
    std::vector<std::vector<std::byte>> data;
    std::vector<TensorToWrite> tensors;
    data.reserve(file.header().tensors.size());
    for (const StoredTensor& tensor : file.header().tensors) {
      const bool inside = tensor.name.starts_with(edit.from);
      if (!inside && !edit.others) continue;
      data.emplace_back(tensor.end - tensor.begin);
      file.read(tensor, data.back());
      if (inside && !edit.marker.empty() && tensor.name.ends_with(edit.marker))
        data.back().assign(data.back().size(), std::byte{0});
      tensors.push_back({inside ? edit.to + tensor.name.substr(edit.from.size()) : tensor.name, tensor.dtype,
                         tensor.shape, data.back()});
    }
    write_safetensors(directory_ / name, tensors, {});
    return directory_ / name;
  }
  static std::vector<uint8_t> pixels(const fs::path& model, const ModelChoices& choices,
                                     const std::string& family = "sd1") {
    const Pipeline pipeline(ModelConfig(model, choices), at::kFloat);
    Observer unseen;
    return pipeline.generate(small_request(family), unseen).pictures.at(0).picture->pixels;
  }
};

class OtherVae : public OtherParts {
 protected:
  fs::path vae_file(const fs::path& from, const std::string& name, const std::string& prefix) const {
    return edited(from, name, {"first_stage_model.", prefix, "decoder.conv_out.bias"});
  }
};

TEST_F(OtherVae, ComesFromAFileOrADirectoryWhateverItsNames) {
  const fs::path model = file_of("sd1", "F32");
  const std::vector<uint8_t> own = pixels(model, small_words());
  ModelChoices choices = small_words();
  choices.components["vae"] = vae_file(model, "bare.safetensors", "");
  const std::vector<uint8_t> other = pixels(model, choices);
  EXPECT_NE(own, other);
  choices.components["vae"] = vae_file(model, "prefixed.safetensors", "first_stage_model.");
  EXPECT_EQ(pixels(model, choices), other);

  // The same weights with diffusers' names, as a component's directory, as a file, and in a model's
  // directory.
  const fs::path directory = directory_of("sd1", model);
  choices.components["vae"] = directory / "vae";
  EXPECT_EQ(pixels(model, choices), own);
  choices.components["vae"] = directory / "vae/diffusion_pytorch_model.safetensors";
  EXPECT_EQ(pixels(model, choices), own);
  choices.components["vae"] = directory;
  EXPECT_EQ(pixels(model, choices), own);
  choices = {};
  choices.components["vae"] = directory_ / "bare.safetensors";
  EXPECT_EQ(pixels(directory, choices), other);
  choices.components["vae"] = directory / "unet/diffusion_pytorch_model.safetensors";
  EXPECT_NE(message_of([&] { ModelConfig(directory, choices); }, ExitCode::kModelInvalid)
                .find("holds no autoencoder"),
            std::string::npos);
}

TEST_F(OtherVae, MakesAnotherModelOfIt) {
  const fs::path model = file_of("sd1", "F32");
  ModelChoices choices = small_words();
  const size_t own = ModelConfig(model, choices).source().files().size();
  choices.components["vae"] = vae_file(model, "other.safetensors", "");
  EXPECT_EQ(ModelConfig(model, choices).source().files().size(), own + 1);
}

struct PartCase {
  const char* family;
  const char* component;
  const char* prefix;  // of its names in a whole model
  const char* marker;
};

class OtherPart : public OtherParts, public ::testing::WithParamInterface<PartCase> {
 protected:
  static ModelChoices with(const fs::path& place) {
    ModelChoices choices = small_words();
    choices.components[GetParam().component] = place;
    return choices;
  }
};

/// The picture must be that of a whole model which has the part itself.
TEST_P(OtherPart, ComesFromAFileOrADirectoryWhateverItsNames) {
  const auto& [family, component, prefix, marker] = GetParam();
  const fs::path model = file_of(family, "F32");
  const fs::path whole = edited(model, "whole.safetensors", {prefix, prefix, marker, /*others=*/true});
  const std::vector<uint8_t> wanted = pixels(whole, small_words(), family);
  EXPECT_NE(wanted, pixels(model, small_words(), family));
  const auto expect_wanted = [&](const fs::path& place) {
    EXPECT_EQ(pixels(model, with(place), family), wanted) << place;
  };
  expect_wanted(whole);
  expect_wanted(edited(model, "bare.safetensors", {prefix, "", marker}));
  expect_wanted(edited(model, "prefixed.safetensors", {prefix, prefix, marker}));
  // With diffusers' names: a file, a component's directory, and a model's.
  const fs::path directory = directory_of(family, whole);
  const bool text = std::string(component).starts_with("text");
  expect_wanted(directory / component / (text ? "model.safetensors" : "diffusion_pytorch_model.safetensors"));
  expect_wanted(directory / component);
  expect_wanted(directory);
  EXPECT_EQ(ModelConfig(model, with(whole)).source().files().size(),
            ModelConfig(model, small_words()).source().files().size() + 1);
}

INSTANTIATE_TEST_SUITE_P(
    Parts, OtherPart,
    ::testing::Values(
        PartCase{"sd1", "unet", "model.diffusion_model.", "out.2.bias"},
        PartCase{"sdxl", "unet", "model.diffusion_model.", "out.2.bias"},
        PartCase{"sd1", "text_encoder", "cond_stage_model.transformer.", "encoder.layers.0.layer_norm1.bias"},
        PartCase{"sd2", "text_encoder", "cond_stage_model.model.", "resblocks.0.ln_1.bias"},
        PartCase{"sdxl", "text_encoder", "conditioner.embedders.0.transformer.",
                 "encoder.layers.0.layer_norm1.bias"},
        PartCase{"sdxl", "text_encoder_2", "conditioner.embedders.1.model.", "resblocks.0.ln_1.bias"},
        PartCase{"refiner", "text_encoder_2", "conditioner.embedders.0.model.", "resblocks.0.ln_1.bias"}),
    [](const auto& one) { return std::string(one.param.family) + "_" + one.param.component; });

/// A model whose file lacks what comes from elsewhere.
TEST_F(OtherParts, CompleteAModel) {
  const fs::path model = file_of("sd1", "F32");
  const fs::path words = edited(model, "words.safetensors", {"cond_stage_model.transformer.", "", ""});
  const fs::path unet = edited(model, "unet.safetensors", {"model.", "model.", ""});
  const fs::path vae = edited(model, "vae.safetensors", {"first_stage_model.", "", ""});
  ModelChoices choices = small_words();
  choices.components = {{"text_encoder", words}, {"vae", vae}};
  EXPECT_EQ(pixels(unet, choices), pixels(model, small_words()));
  choices.components.erase("text_encoder");
  EXPECT_NE(message_of([&] { pixels(unet, choices); }, ExitCode::kModelInvalid)
                .find("holds no text_encoder; name one with --text-encoder"),
            std::string::npos);
}

TEST_F(OtherParts, OfAUNetMaySeeMore) {
  SingleFileCase inpaints("sd1");
  inpaints.set_input_channels(9);
  inpaints.write(directory_ / "inpaints.safetensors");
  ModelChoices choices = small_words();
  choices.components["unet"] = directory_ / "inpaints.safetensors";
  const ModelConfig model(file_of("sd1", "F32"), choices);
  EXPECT_EQ(model.task(), ModelTask::kInpaint);
  EXPECT_EQ(model.unet().in_channels, 9);
}

TEST_F(OtherParts, OfOtherKindsAreRefusedInOneLine) {
  const fs::path model = file_of("sd1", "F32");
  const fs::path xl = file_of("sdxl", "F32");
  const auto refused = [&](const std::string& component, const fs::path& place, ExitCode code) {
    ModelChoices choices = small_words();
    choices.components[component] = place;
    return message_of([&] { ModelConfig(model, choices); }, code);
  };
  std::string message = refused("unet", xl, ExitCode::kModelInvalid);
  EXPECT_NE(message.find("sdxl.safetensors: unet"), std::string::npos) << message;
  EXPECT_NE(message.find("use one of the model's kind"), std::string::npos) << message;
  message =
      refused("text_encoder", edited(xl, "second.safetensors", {"conditioner.embedders.1.model.", "", ""}),
              ExitCode::kModelInvalid);
  EXPECT_NE(message.find("second.safetensors: text_encoder"), std::string::npos) << message;
  EXPECT_NE(message.find("use one of the model's kind"), std::string::npos) << message;
  message = refused("unet", edited(model, "vae.safetensors", {"first_stage_model.", "", ""}),
                    ExitCode::kModelInvalid);
  EXPECT_NE(message.find("vae.safetensors: holds no UNet"), std::string::npos) << message;
  message = refused("text_encoder_2", xl, ExitCode::kUsage);
  EXPECT_NE(message.find("--text-encoder-2: this model has no such text encoder"), std::string::npos)
      << message;
}

TEST_F(OneFile, WithoutItsVocabularyIsOneClearError) {
  ModelChoices choices;
  choices.vocabulary = directory_ / "clip";
  const fs::path file = file_of("sd1", "F32");
  const std::string message =
      message_of([&] { Pipeline(ModelConfig(file, choices), at::kFloat); }, ExitCode::kModelInvalid);
  EXPECT_EQ(message.find((directory_ / "clip").string() + ": CLIP's vocabulary is not there"), 0U) << message;
  EXPECT_NE(message.find("tools/setup"), std::string::npos) << message;
}

TEST_F(OneFile, MissingAndMisshapenTensorsNameTheFile) {
  SafetensorsHeader header = SingleFileCase("sd1").header();
  std::erase_if(header.tensors, [](const StoredTensor& tensor) {
    return tensor.name == "model.diffusion_model.input_blocks.1.0.in_layers.2.weight";
  });
  const Checkpoint checkpoint = checkpoint_of(header);
  const Weights weights =
      Weights::part_of(checkpoint.file(), checkpoint.component("unet"), checkpoint.where("unet"));
  const WeightsView resnet = weights.view(at::kFloat) / "down_blocks.0.resnets.0";
  std::string message = message_of(
      [&] {
        (resnet / "conv1").tensor("weight", {32, 32, 3, 3});
      },
      ExitCode::kModelInvalid);
  EXPECT_EQ(
      message.find("model.safetensors: unet: tensor \"down_blocks.0.resnets.0.conv1.weight\" is missing"), 0U)
      << message;
  message = message_of([&] { (resnet / "conv2").tensor("weight", {1}); }, ExitCode::kModelInvalid);
  EXPECT_NE(
      message.find("\"model.diffusion_model.input_blocks.1.0.out_layers.3.weight\" has shape [32, 32, 3, 3]"),
      std::string::npos)
      << message;
}

}  // namespace
}  // namespace brume::testing

#include "brume/pipeline/model_directory.h"

#include <utility>

#include "brume/base/config_file.h"
#include "brume/base/error.h"

namespace brume {

namespace {

constexpr int64_t kMostPixels = 16384;

ModelFamily family_of(const ConfigFile& index) {
  const std::string name = index.require_string("_class_name");
  if (name == "StableDiffusionPipeline") return ModelFamily::kStableDiffusion;
  if (name == "StableDiffusionXLPipeline") return ModelFamily::kStableDiffusionXl;
  index.reject("_class_name", "brume supports StableDiffusionPipeline and StableDiffusionXLPipeline");
}

/// An entry ["library", "Class"] must be there and name one of `classes`.
void expect_component(const ConfigFile& index, const char* key,
                      std::initializer_list<std::string_view> classes) {
  const std::vector<std::string> entry = index.get_strings(key);
  if (entry.size() != 2) {
    throw Error(ExitCode::kModelInvalid, index.name(), std::string(key) + " is missing",
                "it must be [\"library\", \"class\"]");
  }
  for (const std::string_view name : classes) {
    if (entry[1] == name) return;
  }
  std::string known = "brume supports";
  for (const std::string_view name : classes) known += " " + std::string(name);
  index.reject(key, known);
}

}  // namespace

ModelDirectory::ModelDirectory(std::filesystem::path path, WeightsOrigin origin)
    : path_(std::move(path)), origin_(origin) {
  std::error_code failed;
  if (!std::filesystem::is_directory(path_, failed)) {
    throw Error(ExitCode::kModelInvalid, path_.string(),
                "is not a model directory" + (failed ? ": " + failed.message() : ""),
                "name a directory in diffusers layout, with a model_index.json");
  }
  const ConfigFile index(path_ / "model_index.json");
  family_ = family_of(index);
  const bool xl = family_ == ModelFamily::kStableDiffusionXl;
  expect_component(index, "unet", {"UNet2DConditionModel"});
  expect_component(index, "vae", {"AutoencoderKL"});
  expect_component(index, "tokenizer", {"CLIPTokenizer", "CLIPTokenizerFast"});
  expect_component(index, "text_encoder", {"CLIPTextModel"});
  if (xl) {
    expect_component(index, "tokenizer_2", {"CLIPTokenizer", "CLIPTokenizerFast"});
    expect_component(index, "text_encoder_2", {"CLIPTextModelWithProjection"});
  }
  zero_empty_negative_ = xl && index.get_bool("force_zeros_for_empty_prompt", true);
  read_defaults();
}

std::string ModelDirectory::name() const {
  std::error_code failed;
  const std::filesystem::path full = std::filesystem::weakly_canonical(path_, failed);
  return (failed ? path_ : full).filename().string();
}

Weights ModelDirectory::weights(const std::string& component, const std::string& stem) const {
  return origin_ == WeightsOrigin::kRandom ? Weights::random(component)
                                           : Weights::open(path_ / component, stem);
}

void ModelDirectory::read_defaults() {
  const std::filesystem::path file = defaults_file();
  std::error_code failed;
  if (!std::filesystem::exists(file, failed) && !failed) return;
  const ConfigFile config(file);
  defaults_.steps = config.get_int("num_inference_steps", defaults_.steps, 1, 1000);
  defaults_.cfg_scale = config.get_number("guidance_scale", defaults_.cfg_scale, 0, 1000);
  if (config.has("width")) defaults_.width = config.require_int("width", 1, kMostPixels);
  if (config.has("height")) defaults_.height = config.require_int("height", 1, kMostPixels);
  config.note_unread(remarks_);
}

}  // namespace brume

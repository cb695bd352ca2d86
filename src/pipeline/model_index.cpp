#include "model_index.h"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "brume/base/error.h"

namespace brume {

namespace {

constexpr int64_t kMostPixels = 16384;
constexpr const char* kPipeline = "StableDiffusionPipeline";
constexpr const char* kPipelineXl = "StableDiffusionXLPipeline";

/// What the UNet is for, its input channels say.
ModelFamily family_of(const ConfigFile& index) {
  const std::string name = index.require_string("_class_name");
  for (const std::string_view own :
       {kPipeline, "StableDiffusionInpaintPipeline", "StableDiffusionInstructPix2PixPipeline"}) {
    if (name == own) return ModelFamily::kStableDiffusion;
  }
  for (const std::string_view own :
       {kPipelineXl, "StableDiffusionXLInpaintPipeline", "StableDiffusionXLInstructPix2PixPipeline"}) {
    if (name == own) return ModelFamily::kStableDiffusionXl;
  }
  index.reject("_class_name",
               "brume supports the pipelines of Stable Diffusion and Stable Diffusion XL for text to image, "
               "inpainting and instruct-pix2pix");
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

std::string config_path_of(const std::string& part) {
  return part + (part == "scheduler" ? "/scheduler_config.json" : "/config.json");
}

void read_model_index(const ConfigFile& index, ModelFacts& facts) {
  facts.family = family_of(index);
  const bool xl = facts.family == ModelFamily::kStableDiffusionXl;
  expect_component(index, "unet", {"UNet2DConditionModel"});
  expect_component(index, "vae", {"AutoencoderKL"});
  expect_component(index, "tokenizer", {"CLIPTokenizer", "CLIPTokenizerFast"});
  expect_component(index, "text_encoder", {"CLIPTextModel"});
  if (xl) {
    expect_component(index, "tokenizer_2", {"CLIPTokenizer", "CLIPTokenizerFast"});
    expect_component(index, "text_encoder_2", {"CLIPTextModelWithProjection"});
  }
  if (index.get_bool("is_cosxl_edit", false))
    index.reject("is_cosxl_edit", "CosXL has noise levels of its own, which brume has not");
  facts.zero_empty_negative = xl && index.get_bool("force_zeros_for_empty_prompt", true);
}

void read_model_defaults(const ConfigFile& config, ModelFacts& facts) {
  ModelDefaults& defaults = facts.defaults;
  defaults.steps = config.get_int("num_inference_steps", defaults.steps, 1, 1000);
  defaults.cfg_scale = config.get_number("guidance_scale", defaults.cfg_scale, 0, 1000);
  if (config.has("width")) defaults.width = config.require_int("width", 1, kMostPixels);
  if (config.has("height")) defaults.height = config.require_int("height", 1, kMostPixels);
  config.note_unread(facts.remarks);
}

std::string model_index_text(const ModelFacts& facts) {
  const bool xl = facts.family == ModelFamily::kStableDiffusionXl;
  std::string text = std::string(R"({"_class_name":")") + (xl ? kPipelineXl : kPipeline) +
                     R"(","unet":["diffusers","UNet2DConditionModel"],"vae":["diffusers","AutoencoderKL"],)"
                     R"("tokenizer":["transformers","CLIPTokenizer"],)"
                     R"("text_encoder":["transformers","CLIPTextModel"])";
  if (xl) {
    text += R"(,"tokenizer_2":["transformers","CLIPTokenizer"],)"
            R"("text_encoder_2":["transformers","CLIPTextModelWithProjection"],)"
            R"("force_zeros_for_empty_prompt":)";
    text += facts.zero_empty_negative ? "true" : "false";
  }
  return text + "}";
}

std::string model_defaults_text(const ModelDefaults& defaults) {
  constexpr int kExact = 17;  // digits that give a double back
  std::ostringstream text;
  text.precision(kExact);
  text << R"({"num_inference_steps":)" << defaults.steps << R"(,"guidance_scale":)" << defaults.cfg_scale;
  if (defaults.width) text << R"(,"width":)" << *defaults.width;
  if (defaults.height) text << R"(,"height":)" << *defaults.height;
  text << "}";
  return text.str();
}

}  // namespace brume

#include "model_index.h"

#include <array>
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
/// The class of a pipeline, by what it does.
struct PipelineClass {
  std::string_view name;
  ModelFamily family;
  std::optional<ModelTask> task;  // that a model of brume's is written down as
};

constexpr std::array<PipelineClass, 12> kPipelines{{
    {"StableDiffusionPipeline", ModelFamily::kStableDiffusion, ModelTask::kDraw},
    {"StableDiffusionInpaintPipeline", ModelFamily::kStableDiffusion, ModelTask::kInpaint},
    {"StableDiffusionInstructPix2PixPipeline", ModelFamily::kStableDiffusion, ModelTask::kEdit},
    {"StableDiffusionImg2ImgPipeline", ModelFamily::kStableDiffusion, {}},
    {"StableDiffusionPAGPipeline", ModelFamily::kStableDiffusion, {}},
    {"LatentConsistencyModelPipeline", ModelFamily::kStableDiffusion, {}},
    {"LatentConsistencyModelImg2ImgPipeline", ModelFamily::kStableDiffusion, {}},
    {"StableDiffusionXLPipeline", ModelFamily::kStableDiffusionXl, ModelTask::kDraw},
    {"StableDiffusionXLInpaintPipeline", ModelFamily::kStableDiffusionXl, ModelTask::kInpaint},
    {"StableDiffusionXLInstructPix2PixPipeline", ModelFamily::kStableDiffusionXl, ModelTask::kEdit},
    {"StableDiffusionXLImg2ImgPipeline", ModelFamily::kStableDiffusionXl, ModelTask::kRefine},
    {"StableDiffusionXLPAGPipeline", ModelFamily::kStableDiffusionXl, {}},
}};

/// What the UNet is for, its input channels say.
ModelFamily family_of(const ConfigFile& index) {
  const std::string name = index.require_string("_class_name");
  for (const PipelineClass& known : kPipelines) {
    if (name != known.name) continue;
    const bool refines = index.get_bool("requires_aesthetics_score", false);
    return refines && is_xl(known.family) ? ModelFamily::kStableDiffusionXlRefiner : known.family;
  }
  index.reject("_class_name",
               "brume supports the pipelines of Stable Diffusion and Stable Diffusion XL for text to image, "
               "inpainting and instruct-pix2pix, and XL's refiner");
}

std::string_view pipeline_class(ModelFamily family, ModelTask task) {
  for (const PipelineClass& known : kPipelines) {
    if (is_xl(known.family) == is_xl(family) && known.task == task) return known.name;
  }
  return kPipelines.front().name;
}

/// Of a text tower.
const char* encoder_class(const std::string& suffix) {
  return suffix.empty() ? "CLIPTextModel" : "CLIPTextModelWithProjection";
}

/// An entry ["library", "Class"] must be there and name one of `classes`.
void expect_component(const ConfigFile& index, const std::string& key,
                      std::initializer_list<std::string_view> classes) {
  const std::vector<std::string> entry = index.get_strings(key);
  if (entry.size() != 2) {
    throw Error(ExitCode::kModelInvalid, index.name(), key + " is missing",
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

const char* weights_stem_of(const std::string& component) {
  return component.starts_with("text_encoder") ? "model" : "diffusion_pytorch_model";
}

void read_model_index(const ConfigFile& index, ModelFacts& facts) {
  facts.family = family_of(index);
  expect_component(index, "unet", {"UNet2DConditionModel"});
  expect_component(index, "vae", {"AutoencoderKL", "AutoencoderTiny"});
  for (const std::string& suffix : tower_suffixes(facts.family)) {
    expect_component(index, "tokenizer" + suffix, {"CLIPTokenizer", "CLIPTokenizerFast"});
    expect_component(index, "text_encoder" + suffix, {encoder_class(suffix)});
  }
  if (index.get_bool("is_cosxl_edit", false))
    index.reject("is_cosxl_edit", "CosXL has noise levels of its own, which brume has not");
  facts.zero_empty_negative = is_xl(facts.family) && index.get_bool("force_zeros_for_empty_prompt", true);
}

void read_model_defaults(const ConfigFile& config, ModelFacts& facts) {
  ModelDefaults& defaults = facts.defaults;
  defaults.steps = config.get_int("num_inference_steps", defaults.steps, 1, 1000);
  defaults.cfg_scale = config.get_number("guidance_scale", defaults.cfg_scale, 0, 1000);
  if (config.has("width")) defaults.width = config.require_int("width", 1, kMostPixels);
  if (config.has("height")) defaults.height = config.require_int("height", 1, kMostPixels);
  config.note_unread(facts.remarks);
}

std::string model_index_text(const ModelFacts& facts, ModelTask task, std::string_view vae_class) {
  std::string text = std::string(R"({"_class_name":")") + std::string(pipeline_class(facts.family, task)) +
                     R"(","unet":["diffusers","UNet2DConditionModel"],"vae":["diffusers",")" +
                     std::string(vae_class) + R"("])";
  for (const std::string& suffix : tower_suffixes(facts.family))
    text += R"(,"tokenizer)" + suffix + R"(":["transformers","CLIPTokenizer"],"text_encoder)" + suffix +
            R"(":["transformers",")" + encoder_class(suffix) + R"("])";
  if (is_xl(facts.family))
    text +=
        std::string(R"(,"force_zeros_for_empty_prompt":)") + (facts.zero_empty_negative ? "true" : "false");
  if (facts.family == ModelFamily::kStableDiffusionXlRefiner) text += R"(,"requires_aesthetics_score":true)";
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

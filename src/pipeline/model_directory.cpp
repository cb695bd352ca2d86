#include "brume/pipeline/model_directory.h"

#include <utility>

#include "brume/base/error.h"

namespace brume {

namespace fs = std::filesystem;

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

std::string name_of(const fs::path& path) {
  std::error_code failed;
  const fs::path full = fs::weakly_canonical(path, failed);
  return (failed ? path : full).filename().string();
}

void read_defaults(ModelFacts& facts) {
  std::error_code failed;
  if (!fs::exists(facts.defaults_file, failed) && !failed) return;
  const ConfigFile config(facts.defaults_file);
  ModelDefaults& defaults = facts.defaults;
  defaults.steps = config.get_int("num_inference_steps", defaults.steps, 1, 1000);
  defaults.cfg_scale = config.get_number("guidance_scale", defaults.cfg_scale, 0, 1000);
  if (config.has("width")) defaults.width = config.require_int("width", 1, kMostPixels);
  if (config.has("height")) defaults.height = config.require_int("height", 1, kMostPixels);
  config.note_unread(facts.remarks);
}

ModelFacts read_facts(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_directory(path, failed)) {
    throw Error(ExitCode::kModelInvalid, path.string(),
                "is not a model directory" + (failed ? ": " + failed.message() : ""),
                "name a directory that holds model_index.json, or a .safetensors or .ckpt file");
  }
  ModelFacts facts;
  facts.path = path;
  facts.name = name_of(path);
  facts.defaults_file = path / "brume.json";
  const ConfigFile index(path / "model_index.json");
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
  facts.zero_empty_negative = xl && index.get_bool("force_zeros_for_empty_prompt", true);
  read_defaults(facts);
  return facts;
}

/// What a component's files begin with.
const char* stem_of(const std::string& component) {
  return component.starts_with("text_encoder") ? "model" : "diffusion_pytorch_model";
}

/// Configurations and vocabularies.
void append_texts(const fs::path& root, const fs::path& folder, std::vector<NamedFile>& files) {
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(root / folder, failed)) {
    const std::string extension = entry.path().extension().string();
    const bool index = entry.path().string().ends_with(".index.json");  // Weights gives its shards
    if ((extension == ".json" || extension == ".txt") && !index)
      files.push_back({(folder / entry.path().filename()).generic_string(), entry.path()});
  }
}

}  // namespace

ModelDirectory::ModelDirectory(const fs::path& path, WeightsOrigin origin)
    : ModelSource(read_facts(path)), origin_(origin) {}

fs::path ModelDirectory::config_path(const std::string& part) const {
  return path() / part / (part == "scheduler" ? "scheduler_config.json" : "config.json");
}

Weights ModelDirectory::weights(const std::string& component) const {
  return origin_ == WeightsOrigin::kRandom ? Weights::random(component)
                                           : Weights::open(path() / component, stem_of(component));
}

std::vector<NamedFile> ModelDirectory::files() const {
  std::vector<NamedFile> files{{"model_index.json", path() / "model_index.json"}};
  std::vector<std::string> components{"unet", "vae"};
  std::vector<std::string> texts{"scheduler"};
  for (const std::string suffix : {"", "_2"}) {
    if (!suffix.empty() && family() != ModelFamily::kStableDiffusionXl) continue;
    components.push_back("text_encoder" + suffix);
    texts.push_back("tokenizer" + suffix);
  }
  for (const std::string& component : components) {
    const Weights weights = Weights::open(path() / component, stem_of(component));
    for (const fs::path& file : weights.files())
      files.push_back({file.lexically_relative(path()).generic_string(), file});
    append_texts(path(), component, files);
  }
  for (const std::string& text : texts) append_texts(path(), text, files);
  return files;
}

}  // namespace brume

#include "brume/pipeline/model_directory.h"

#include <utility>

#include "brume/base/directory.h"
#include "brume/base/error.h"
#include "model_index.h"

namespace brume {

namespace fs = std::filesystem;

namespace {

std::string name_of(const fs::path& path) {
  std::error_code failed;
  const fs::path full = fs::weakly_canonical(path, failed);
  return (failed ? path : full).filename().string();
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
  read_model_index(ConfigFile(path / "model_index.json"), facts);
  if (fs::exists(facts.defaults_file, failed) || failed)
    read_model_defaults(ConfigFile(facts.defaults_file), facts);
  return facts;
}

/// Configurations and vocabularies.
void append_texts(const fs::path& root, const fs::path& folder, std::vector<NamedFile>& files) {
  std::error_code failed;
  if (!fs::is_directory(root / folder, failed)) return;  // a model may do without
  for_each_entry(root / folder, ExitCode::kModelInvalid, [&](const fs::directory_entry& entry) {
    const std::string extension = entry.path().extension().string();
    const bool index = entry.path().string().ends_with(".index.json");  // Weights gives its shards
    if ((extension == ".json" || extension == ".txt") && !index)
      files.push_back({(folder / entry.path().filename()).generic_string(), entry.path()});
  });
}

}  // namespace

ModelDirectory::ModelDirectory(const fs::path& path, WeightsOrigin origin)
    : ModelSource(read_facts(path)), origin_(origin) {}

fs::path ModelDirectory::config_path(const std::string& part) const { return path() / config_path_of(part); }

Weights ModelDirectory::weights(const std::string& component) const {
  return origin_ == WeightsOrigin::kRandom ? Weights::random(component)
                                           : Weights::open(path() / component, weights_stem_of(component));
}

void ModelDirectory::append_weights(const std::string& component, std::vector<NamedFile>& files) const {
  const Weights weights = Weights::open(path() / component, weights_stem_of(component));
  for (const fs::path& file : weights.files())
    files.push_back({file.lexically_relative(path()).generic_string(), file});
}

std::vector<NamedFile> ModelDirectory::files_but(const std::set<std::string>& components) const {
  std::vector<NamedFile> files{{"model_index.json", path() / "model_index.json"}};
  std::vector<std::string> own{"unet", "vae"};
  std::vector<std::string> texts{"scheduler"};
  for (const std::string& suffix : tower_suffixes(family())) {
    own.push_back("text_encoder" + suffix);
    texts.push_back("tokenizer" + suffix);
  }
  for (const std::string& component : own) {
    if (!components.contains(component)) append_weights(component, files);
    append_texts(path(), component, files);
  }
  for (const std::string& text : texts) append_texts(path(), text, files);
  return files;
}

}  // namespace brume

#include "brume/pipeline/model_files.h"

#include <string>

#include "brume/weights/weights.h"

namespace brume {

namespace fs = std::filesystem;

namespace {

void append_texts(const fs::path& component, std::vector<fs::path>& files) {
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(component, failed)) {
    const std::string extension = entry.path().extension().string();
    const bool index = entry.path().string().ends_with(".index.json");  // Weights gives its shards
    if ((extension == ".json" || extension == ".txt") && !index) files.push_back(entry.path());
  }
}

}  // namespace

std::vector<fs::path> model_files(const ModelDirectory& model) {
  std::vector<fs::path> files{model.path() / "model_index.json"};
  std::vector<std::string> encoders{""};
  if (model.family() == ModelFamily::kStableDiffusionXl) encoders.emplace_back("_2");
  const auto append_weights = [&](const std::string& component, const std::string& stem) {
    const Weights weights = Weights::open(model.path() / component, stem);
    for (const fs::path& file : weights.files()) files.push_back(file);
    append_texts(model.path() / component, files);
  };
  for (const std::string& suffix : encoders) {
    append_texts(model.path() / ("tokenizer" + suffix), files);
    append_weights("text_encoder" + suffix, "model");
  }
  append_weights("unet", "diffusion_pytorch_model");
  append_weights("vae", "diffusion_pytorch_model");
  append_texts(model.path() / "scheduler", files);
  return files;
}

}  // namespace brume

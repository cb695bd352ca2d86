#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "brume/pipeline/model_source.h"

namespace brume {

/// A diffusers model directory: model_index.json and a folder for each component.
class ModelDirectory : public ModelSource {
 public:
  /// Reads model_index.json, and brume.json where it is there (ModelDefaults: "num_inference_steps",
  /// "guidance_scale", "width", "height"). Throws kModelInvalid, naming file, key and value, for a class
  /// brume does not have.
  explicit ModelDirectory(const std::filesystem::path& path, WeightsOrigin origin = WeightsOrigin::kFiles);

  ConfigFile config(const std::string& part) const override { return ConfigFile(config_path(part)); }
  std::string config_name(const std::string& part) const override { return config_path(part).string(); }
  /// From the files of the component's folder, or random.
  Weights weights(const std::string& component) const override;
  TokenizerTexts tokenizer_texts(const std::string& part) const override {
    return read_tokenizer_texts(path() / part);
  }
  std::vector<NamedFile> files_but(const std::set<std::string>& components) const override;

 private:
  std::filesystem::path config_path(const std::string& part) const;
  void append_weights(const std::string& component, std::vector<NamedFile>& files) const;

  WeightsOrigin origin_;
};

}  // namespace brume

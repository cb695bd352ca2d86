#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/weights/weights.h"

namespace brume {

enum class ModelFamily { kStableDiffusion, kStableDiffusionXl };

/// Random ones need no checkpoint: the directory has configurations and tokenizers alone.
enum class WeightsOrigin { kFiles, kRandom };

/// What a model's author advises, where nobody says otherwise.
struct ModelDefaults {
  int64_t steps = 20;
  double cfg_scale = 7;
  std::optional<int64_t> width;
  std::optional<int64_t> height;
};

/// A diffusers model directory: model_index.json and a folder for each component.
class ModelDirectory {
 public:
  /// Reads model_index.json, and brume.json where it is there (ModelDefaults: "num_inference_steps",
  /// "guidance_scale", "width", "height"). Throws kModelInvalid, naming file, key and value, for a class
  /// brume does not have.
  explicit ModelDirectory(std::filesystem::path path, WeightsOrigin origin = WeightsOrigin::kFiles);

  const std::filesystem::path& path() const { return path_; }
  /// The directory's own name, for messages and recipes.
  std::string name() const;
  std::filesystem::path component(const char* name) const { return path_ / name; }
  /// The weights of a component, whose files begin with `stem`.
  Weights weights(const std::string& component, const std::string& stem) const;
  WeightsOrigin origin() const { return origin_; }
  ModelFamily family() const { return family_; }
  const ModelDefaults& defaults() const { return defaults_; }
  /// The file that the defaults come from.
  std::filesystem::path defaults_file() const { return path_ / "brume.json"; }
  /// Settings of that file that nothing reads, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }
  /// SDXL: no negative prompt at all means zeros, not the words "".
  bool zero_empty_negative() const { return zero_empty_negative_; }

 private:
  void read_defaults();

  std::filesystem::path path_;
  WeightsOrigin origin_;
  ModelFamily family_ = ModelFamily::kStableDiffusion;
  ModelDefaults defaults_;
  bool zero_empty_negative_ = false;
  std::vector<std::string> remarks_;
};

}  // namespace brume

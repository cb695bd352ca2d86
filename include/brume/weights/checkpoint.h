#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/weights/component_tensors.h"
#include "brume/weights/tensor_file.h"

namespace brume {

/// By the text towers and how they are entered, whatever the sizes.
enum class CheckpointKind { kSd1, kSd2, kSdXl, kSdXlRefiner };

/// What a checkpoint is.
struct CheckpointFamily {
  CheckpointKind kind;
  std::string title;    // "Stable Diffusion 1 for inpainting"
  std::string refusal;  // why brume draws no pictures with it alone; empty: it does
};

/// Of a whole model in one file with the names of latent-diffusion or generative-models, read off its
/// tensors; nothing for any other file.
std::optional<CheckpointFamily> checkpoint_family(const SafetensorsHeader& header);

/// A whole model in one file, in original naming: its components with the names and configurations of
/// diffusers, as diffusers' from_single_file makes them.
class Checkpoint {
 public:
  /// `prediction` ("epsilon", "v_prediction", "sample"), where it is given, goes before what the file says.
  /// Throws kModelInvalid for a file that is no such model, or whose words about itself are not understood.
  explicit Checkpoint(std::shared_ptr<const TensorFile> file, std::optional<std::string> prediction = {});

  const std::shared_ptr<const TensorFile>& file() const { return file_; }
  const CheckpointFamily& family() const { return family_; }

  /// Components are called as in a model directory: unet, vae, text_encoder, text_encoder_2.
  /// Throws kModelInvalid, saying which option brings it, for one that the file does not hold.
  const ComponentTensors& component(const std::string& name) const;
  /// The text of its config.json, or of "scheduler"'s scheduler_config.json.
  std::string config(const std::string& name) const;
  /// How messages call a component: "FILE: unet".
  std::string where(const std::string& component) const;

  /// What was assumed, and what is not used, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  void add_text_towers();
  bool inpaints() const;
  void choose_prediction();
  void note_unused();
  std::string text_config_of(const std::string& name) const;
  std::string scheduler_config() const;
  uint64_t pixels() const;
  uint64_t pooled_width() const;
  const StoredTensor* find(std::string_view name) const;

  std::shared_ptr<const TensorFile> file_;
  CheckpointFamily family_;
  std::optional<std::string> prediction_;
  bool zero_terminal_snr_ = false;
  std::map<std::string, ComponentTensors> components_;
  std::vector<std::string> remarks_;
};

}  // namespace brume

#include "brume/weights/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "brume/base/error.h"
#include "brume/weights/component_file.h"
#include "dialects/config_text.h"
#include "dialects/original.h"

namespace brume {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view kUNet = "model.diffusion_model.";
constexpr uint64_t kUsualFactor = 8;

struct TowerRow {
  CheckpointKind kind;
  const char* component;
  std::string_view prefix;
  dialects::TextTowerKind tower;
};

constexpr std::array<TowerRow, 6> kTowers{{
    {CheckpointKind::kSd1, "text_encoder", "cond_stage_model.transformer.", dialects::TextTowerKind::kClip},
    {CheckpointKind::kSd2, "text_encoder", "cond_stage_model.model.", dialects::TextTowerKind::kOpenClip},
    {CheckpointKind::kSd2, "text_encoder", "cond_stage_model.transformer.",
     dialects::TextTowerKind::kOpenClip},
    {CheckpointKind::kSdXl, "text_encoder", "conditioner.embedders.0.transformer.",
     dialects::TextTowerKind::kClip},
    {CheckpointKind::kSdXl, "text_encoder_2", "conditioner.embedders.1.model.",
     dialects::TextTowerKind::kOpenClipProjected},
    {CheckpointKind::kSdXlRefiner, "text_encoder_2", "conditioner.embedders.0.model.",
     dialects::TextTowerKind::kOpenClipProjected},
}};

ComponentTensors tower_of(const SafetensorsHeader& header, const TowerRow& row) {
  return dialects::text_tower_of(dialects::below(header, row.prefix), row.tower);
}

std::optional<std::string> metadata_of(const TensorFile& file, const std::string& key) {
  const auto found = file.header().metadata.find(key);
  return found == file.header().metadata.end() ? std::nullopt : std::optional(found->second);
}

/// The side of "1024x1024"; nothing for another text.
std::optional<uint64_t> square_side(const std::string& text) {
  constexpr uint64_t kLeast = 64;
  constexpr uint64_t kMost = 4096;
  const size_t cross = text.find('x');
  if (cross == std::string::npos || text.substr(0, cross) != text.substr(cross + 1)) return std::nullopt;
  uint64_t side = 0;
  const auto [stop, failed] = std::from_chars(text.data(), text.data() + cross, side);
  const bool number = failed == std::errc{} && stop == text.data() + cross;
  return number && side >= kLeast && side <= kMost && side % kUsualFactor == 0 ? std::optional(side)
                                                                               : std::nullopt;
}

/// The value of a tensor that holds one whole number.
std::optional<int64_t> whole_number_of(const TensorFile& file, const StoredTensor* tensor) {
  if (tensor == nullptr || tensor->dtype != StoredType::kI64 ||
      tensor->end - tensor->begin != sizeof(int64_t))
    return std::nullopt;
  int64_t value = 0;
  file.read(*tensor, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

CheckpointFamily require_family(const TensorFile& file) {
  std::optional<CheckpointFamily> family = checkpoint_family(file.header());
  if (family) return std::move(*family);
  throw Error(ExitCode::kModelInvalid, file.path().string(),
              "is no checkpoint of Stable Diffusion 1, 2 or XL: it lacks model.diffusion_model.input_blocks",
              "name such a file, or a directory in diffusers layout");
}

}  // namespace

Checkpoint::Checkpoint(std::shared_ptr<const TensorFile> file, std::optional<std::string> prediction)
    : file_(std::move(file)), family_(require_family(*file_)), prediction_(std::move(prediction)) {
  components_["unet"] = dialects::unet_of(dialects::below(file_->header(), kUNet));
  components_["vae"] = find_component(file_->header(), "vae");
  add_text_towers();
  choose_prediction();
  note_unused();
}

void Checkpoint::add_text_towers() {
  for (const TowerRow& row : kTowers) {
    if (row.kind != family_.kind) continue;
    if (ComponentTensors tower = tower_of(file_->header(), row); !tower.empty())
      components_[row.component] = std::move(tower);
  }
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const std::vector<StoredTensor>& tensors = file_->header().tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const StoredTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

/// Of a model that was trained to repaint, whose UNet reads a mask and a picture too.
bool Checkpoint::inpaints() const {
  constexpr uint64_t kChannels = 9;
  const ComponentTensors& unet = components_.at("unet");
  const auto first = unet.find("conv_in.weight");
  return first != unet.end() && first->second.shape[1] == kChannels;
}

void Checkpoint::choose_prediction() {
  constexpr const char* kKey = "modelspec.prediction_type";
  constexpr int64_t kStepsOfBase = 875'000;  // of Stable Diffusion 2 at 512 pixels, which predicts noise
  // Two empty tensors that fine-tuned models carry to say how they were trained.
  zero_terminal_snr_ = find("ztsnr") != nullptr;
  if (prediction_) return;
  const std::optional<std::string> said = metadata_of(*file_, kKey);
  if (find("v_pred") != nullptr || said == "v" || said == "v_prediction") {
    prediction_ = "v_prediction";
  } else if (said == "epsilon" || said == "eps" || said == "sample") {
    prediction_ = said == "eps" ? "epsilon" : said;
  } else if (said) {
    throw Error(ExitCode::kModelInvalid, file_->path().string(),
                std::string(kKey) + ": \"" + *said + "\" is unknown",
                "say what it predicts: --prediction epsilon or v");
  } else if (family_.kind != CheckpointKind::kSd2 || inpaints() ||
             whole_number_of(*file_, find("global_step")) == kStepsOfBase ||
             metadata_of(*file_, "global_step") == std::to_string(kStepsOfBase)) {
    prediction_ = "epsilon";
  } else {
    prediction_ = "v_prediction";
    remarks_.push_back(
        file_->path().string() +
        ": does not say what it predicts; taken for v, as diffusers does (--prediction epsilon "
        "for models of 512 pixels)");
  }
}

/// One line for all that no component has. Many of a kind are counted, not named.
void Checkpoint::note_unused() {
  constexpr size_t kNamed = 3;  // of a kind
  constexpr size_t kKinds = 12;
  std::set<const StoredTensor*> used{find("v_pred"), find("ztsnr"), find("global_step")};
  for (const auto& [component, tensors] : components_) {
    for (const auto& [name, place] : tensors) used.insert(place.stored);
  }
  std::map<std::string, std::vector<std::string>> kinds;  // by the first part of the name
  for (const StoredTensor& tensor : file_->header().tensors) {
    if (!used.contains(&tensor)) kinds[tensor.name.substr(0, tensor.name.find('.'))].push_back(tensor.name);
  }
  std::string text;
  size_t left = kKinds;
  for (const auto& [kind, names] : kinds) {
    if (left == 0) break;
    --left;
    if (names.size() > kNamed) {
      text += (text.empty() ? "" : ", ") + std::to_string(names.size()) + " tensors of " + kind;
    } else {
      for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    }
  }
  if (kinds.size() > kKinds) text += " and " + std::to_string(kinds.size() - kKinds) + " more kinds";
  if (!text.empty()) remarks_.push_back(file_->path().string() + ": not used: " + text);
}

std::string Checkpoint::where(const std::string& component) const {
  return file_->path().string() + ": " + component;
}

const ComponentTensors& Checkpoint::component(const std::string& name) const {
  const auto found = components_.find(name);
  if (found != components_.end() && !found->second.empty()) return found->second;
  throw Error(ExitCode::kModelInvalid, file_->path().string(), "holds no " + name,
              "name one with " + component_option(name));
}

uint64_t Checkpoint::pixels() const {
  constexpr uint64_t kXl = 1024;
  constexpr uint64_t kSecondV = 768;
  constexpr uint64_t kOthers = 512;
  if (const auto said = metadata_of(*file_, "modelspec.resolution")) {
    if (const std::optional<uint64_t> side = square_side(*said)) return *side;
  }
  if (family_.kind == CheckpointKind::kSdXl || family_.kind == CheckpointKind::kSdXlRefiner) return kXl;
  return family_.kind == CheckpointKind::kSd2 && prediction_ == "v_prediction" ? kSecondV : kOthers;
}

uint64_t Checkpoint::pooled_width() const {
  const auto tower = components_.find("text_encoder_2");
  if (tower == components_.end()) return 0;
  const auto projection = tower->second.find("text_projection.weight");
  return projection == tower->second.end() ? 0 : projection->second.shape[0];
}

std::string Checkpoint::config(const std::string& name) const {
  constexpr double kScale = 0.18215;
  constexpr double kScaleXl = 0.13025;
  if (name == "scheduler") return scheduler_config();
  if (name == "unet") {
    const uint64_t time_ids = family_.kind == CheckpointKind::kSdXlRefiner ? 5 : 6;
    return dialects::unet_config(component(name), pixels() / kUsualFactor, {pooled_width(), time_ids},
                                 where(name));
  }
  if (name == "vae") {
    const bool xl = family_.kind == CheckpointKind::kSdXl || family_.kind == CheckpointKind::kSdXlRefiner;
    return component_config_text(name, component(name),
                                 {.pixels = pixels(), .scaling_factor = xl ? kScaleXl : kScale}, where(name));
  }
  return text_config_of(name);
}

std::string Checkpoint::text_config_of(const std::string& name) const {
  for (const TowerRow& row : kTowers) {
    if (row.kind == family_.kind && row.component == name)
      return dialects::text_config(component(name), row.tower, where(name));
  }
  component(name);  // throws
  return {};
}

std::string Checkpoint::scheduler_config() const {
  ordered_json config = {{"beta_start", 0.00085},
                         {"beta_end", 0.012},
                         {"beta_schedule", "scaled_linear"},
                         {"num_train_timesteps", 1000},
                         {"clip_sample", false},
                         {"set_alpha_to_one", false},
                         {"steps_offset", 1},
                         {"prediction_type", *prediction_}};
  const bool first = family_.kind == CheckpointKind::kSd1;
  const bool second = family_.kind == CheckpointKind::kSd2;
  config["_class_name"] = first ? "PNDMScheduler" : second ? "DDIMScheduler" : "EulerDiscreteScheduler";
  if (!first && !second) config["timestep_spacing"] = "leading";
  if (zero_terminal_snr_) {
    config["rescale_betas_zero_snr"] = true;
    config["timestep_spacing"] =
        "trailing";  // begins where there is no signal, which is what it was trained for
  }
  return config.dump();
}

}  // namespace brume

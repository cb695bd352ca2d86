#include "brume/weights/adapters/module_names.h"

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "brume/weights/dialects/original_unet_names.h"

namespace brume {

namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kTextModel = "text_model.";

/// What OpenCLIP calls the layers of a text encoder; its q, k and v are one.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kOpenClip{
    {{"self_attn_out_proj", "attn_out_proj"},
     {"mlp_fc1", "mlp_c_fc"},
     {"mlp_fc2", "mlp_c_proj"},
     {"layer_norm1", "ln_1"},
     {"layer_norm2", "ln_2"},
     {"final_layer_norm", "ln_final"}}};
constexpr std::array<std::string_view, 3> kInProjection{"self_attn_q_proj", "self_attn_k_proj",
                                                        "self_attn_v_proj"};

/// "encoder_layers_3_" -> "transformer_resblocks_3_"
std::string open_clip_beginning(std::string_view before) {
  constexpr std::string_view kLayers = "encoder_layers_";
  if (!before.starts_with(kLayers)) return std::string(before);
  return "transformer_resblocks_" + std::string(before.substr(kLayers.size()));
}

/// "input_blocks.4.1.proj_in" -> 4
size_t number_after(std::string_view name, std::string_view path) {
  size_t number = 0;
  std::from_chars(name.data() + path.size(), name.data() + name.size(), number);
  return number;
}

}  // namespace

ModuleNames::ModuleNames(AdapterTower tower, const std::vector<std::string>& tensors) {
  std::vector<std::string> layers;
  for (const std::string& tensor : tensors) {
    if (tensor.ends_with(kWeight)) layers.push_back(tensor.substr(0, tensor.size() - kWeight.size()));
  }
  for (const std::string& layer : layers) {
    const bool long_name = tower != AdapterTower::kUNet && layer.starts_with(kTextModel);
    const std::string module = flattened(std::string_view(layer).substr(long_name ? kTextModel.size() : 0));
    places_.emplace(module, std::vector<ModulePlace>{{layer}});
    if (tower != AdapterTower::kUNet) add_text(layer, module);
  }
  if (tower == AdapterTower::kUNet) add_unet(layers);
}

void ModuleNames::add_unet(const std::vector<std::string>& layers) {
  const OriginalUNetNames originals(layers);
  input_blocks_ = originals.input_blocks();
  output_blocks_ = originals.output_blocks();
  for (const std::string& layer : layers) {
    const std::optional<std::string> original = originals.of(layer);
    if (!original) continue;
    places_.emplace(flattened(*original), std::vector<ModulePlace>{{layer}});
    constexpr std::string_view kIn = "input_blocks.";
    constexpr std::string_view kOut = "output_blocks.";
    if (original->starts_with(kIn)) blocks_[layer] = 1 + number_after(*original, kIn);
    if (original->starts_with("middle_block.")) blocks_[layer] = 1 + input_blocks_;
    if (original->starts_with(kOut)) blocks_[layer] = 2 + input_blocks_ + number_after(*original, kOut);
  }
}

void ModuleNames::add_text(const std::string& layer, const std::string& module) {
  for (const auto& [ours, theirs] : kOpenClip) {
    if (!module.ends_with(ours)) continue;
    const std::string before = module.substr(0, module.size() - ours.size());
    places_.emplace(open_clip_beginning(before) + std::string(theirs), std::vector<ModulePlace>{{layer}});
  }
  for (size_t i = 0; i < kInProjection.size(); ++i) {
    if (!module.ends_with(kInProjection[i])) continue;
    const std::string before = module.substr(0, module.size() - kInProjection[i].size());
    places_[open_clip_beginning(before) + "attn_in_proj"].push_back(
        {layer, static_cast<int64_t>(i), static_cast<int64_t>(kInProjection.size())});
  }
}

const std::vector<ModulePlace>& ModuleNames::find(const std::string& module) const {
  static const std::vector<ModulePlace> kNone;
  const auto found = places_.find(module);
  return found == places_.end() ? kNone : found->second;
}

size_t ModuleNames::block_of(const std::string& layer) const {
  const auto found = blocks_.find(layer);
  return found == blocks_.end() ? 0 : found->second;
}

}  // namespace brume

#include <algorithm>
#include <array>
#include <utility>

#include "original.h"

namespace brume::dialects {

namespace {

constexpr std::string_view kLayers = "transformer.resblocks.";

constexpr std::array<NameRow, 4> kOuter{
    {{"positional_embedding", "text_model.embeddings.position_embedding.weight"},
     {"token_embedding.", "text_model.embeddings.token_embedding."},
     {"ln_final.", "text_model.final_layer_norm."},
     {"text_projection.", "text_projection."}}};  // some tools write the linear layer

constexpr std::array<NameRow, 5> kLayer{{{"ln_1.", "layer_norm1."},
                                         {"ln_2.", "layer_norm2."},
                                         {"mlp.c_fc.", "mlp.fc1."},
                                         {"mlp.c_proj.", "mlp.fc2."},
                                         {"attn.out_proj.", "self_attn.out_proj."}}};

/// Queries, keys and values lie one after the other in one tensor; `kind` is weight or bias.
void add_thirds(const StoredTensor& stored, const std::string& layer, const std::string& kind,
                ComponentTensors& text) {
  if (stored.shape.empty() || stored.shape[0] % 3 != 0) return;
  std::vector<uint64_t> shape = stored.shape;
  shape[0] /= 3;
  uint64_t values = 1;
  for (const uint64_t size : shape) values *= size;
  uint64_t first = 0;
  for (const char* part : {"q_proj.", "k_proj.", "v_proj."}) {
    text.emplace(layer + "self_attn." + part + kind, TensorPlace{&stored, shape, first, Axes::kAsStored});
    first += values;
  }
}

void add_layer_tensor(const StoredTensor& stored, std::string_view rest, size_t index,
                      ComponentTensors& text) {
  const std::string layer = "text_model.encoder.layers." + std::to_string(index) + ".";
  if (rest == "attn.in_proj_weight") return add_thirds(stored, layer, "weight", text);
  if (rest == "attn.in_proj_bias") return add_thirds(stored, layer, "bias", text);
  if (const std::optional<std::string> name = renamed(rest, kLayer))
    text.emplace(layer + *name, whole(stored));
}

size_t open_clip_layers(const OriginalTensors& tensors) {
  size_t layers = 0;
  for (auto at = tensors.lower_bound(kLayers); at != tensors.end(); ++at) {
    std::string_view rest = at->first;
    if (!take_word(rest, kLayers)) break;
    layers = std::max(layers, take_index(rest).value_or(0) + 1);
  }
  return layers;
}

ComponentTensors open_clip_text_of(const OriginalTensors& tensors, size_t layers) {
  ComponentTensors text;
  for (const auto& [original, stored] : tensors) {
    std::string_view rest = original;
    if (take_word(rest, kLayers)) {
      const std::optional<size_t> index = take_index(rest);
      if (index && *index < layers) add_layer_tensor(*stored, rest, *index, text);
    } else if (rest == "text_projection" && stored->shape.size() == 2) {
      const std::vector<uint64_t> swapped{stored->shape[1], stored->shape[0]};
      text.emplace("text_projection.weight", TensorPlace{stored, swapped, 0, Axes::kSwapped});
    } else if (const std::optional<std::string> name = renamed(rest, kOuter)) {
      text.emplace(*name, whole(*stored));
    }
  }
  return text;
}

constexpr size_t kRead = 23;  // layers that Stable Diffusion 2 reads of its tower's 24

/// Stable Diffusion 2 reads the state before the last layer of its tower, so that layer is nothing to it;
/// where it was left out already, all are read.
size_t layers_read(const OriginalTensors& tower, TextTowerKind kind) {
  const size_t layers = open_clip_layers(tower);
  const bool all = kind == TextTowerKind::kOpenClipProjected || layers == kRead || layers == 0;
  return all ? layers : layers - 1;
}

}  // namespace

ComponentTensors clip_text_of(const OriginalTensors& tensors) {
  constexpr std::string_view kTower = "text_model.";
  ComponentTensors text;
  for (const auto& [original, stored] : tensors) {
    if (original.ends_with("embeddings.position_ids")) continue;
    const bool inside = original.starts_with("embeddings.") || original.starts_with("encoder.") ||
                        original.starts_with("final_layer_norm.");
    // Files of before transformers 4.31 may lack the tower's name.
    if (inside || original.starts_with(kTower))
      text.emplace((inside ? std::string(kTower) : "") + original, whole(*stored));
  }
  return text;
}

namespace {

ComponentTensors clip_tower_of(const OriginalTensors& tensors, TextTowerKind kind) {
  ComponentTensors text = clip_text_of(tensors);
  if (kind != TextTowerKind::kOpenClip) return text;
  // diffusers' configuration of Stable Diffusion 2 has 23 layers, whatever the file has.
  const std::string last = "text_model.encoder.layers." + std::to_string(kRead) + ".";
  std::erase_if(text, [&](const auto& tensor) { return tensor.first.starts_with(last); });
  return text;
}

}  // namespace

bool is_clip(const OriginalTensors& tensors) {
  return tensors.contains("text_model.embeddings.token_embedding.weight") ||
         tensors.contains("embeddings.token_embedding.weight");
}

ComponentTensors text_tower_of(const OriginalTensors& tensors, TextTowerKind kind) {
  if (kind == TextTowerKind::kClip || is_clip(tensors)) return clip_tower_of(tensors, kind);
  ComponentTensors text = open_clip_text_of(tensors, layers_read(tensors, kind));
  if (kind == TextTowerKind::kOpenClip) text.erase("text_projection.weight");
  return text;
}

}  // namespace brume::dialects

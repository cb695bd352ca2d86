#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "config_text.h"
#include "shapes.h"

namespace brume::dialects {

namespace {

using nlohmann::ordered_json;
using Depths = std::vector<size_t>;  // transformer blocks behind each residual block of a level

constexpr uint64_t kHeadDim = 64;
constexpr uint64_t kHeads = 8;
// Of a UNet that was distilled to be told the guidance scale.
constexpr const char* kGuidanceEntry = "time_embedding.cond_proj.weight";

std::string block(const char* path, size_t level) { return std::string(path) + std::to_string(level) + "."; }

/// Empty where the level has no transformers.
Depths depths_of(const Shapes& shapes, const std::string& place, size_t layers) {
  Depths depths;
  for (size_t layer = 0; layer < layers; ++layer) {
    const std::string attention = place + "attentions." + std::to_string(layer) + ".";
    if (!shapes.has(attention + "norm.weight")) break;
    depths.push_back(shapes.count(attention + "transformer_blocks.", ".norm1.weight"));
  }
  return depths;
}

/// The levels of a UNet, finest first.
struct Levels {
  std::vector<uint64_t> channels;
  std::vector<size_t> layers;
  std::vector<Depths> down;
  std::vector<Depths> up;
};

Levels levels_of(const Shapes& shapes) {
  Levels levels;
  const size_t count = shapes.count("down_blocks.", ".resnets.0.conv1.weight");
  for (size_t i = 0; i < count; ++i) {
    const std::string down = block("down_blocks.", i);
    const std::string up = block("up_blocks.", count - 1 - i);
    levels.channels.push_back(shapes.size(down + "resnets.0.conv1.weight", 0));
    levels.layers.push_back(shapes.count(down + "resnets.", ".conv1.weight"));
    levels.down.push_back(depths_of(shapes, down, levels.layers.back()));
    levels.up.push_back(depths_of(shapes, up, levels.layers.back() + 1));
  }
  return levels;
}

ordered_json block_types(const std::vector<Depths>& depths, const char* path) {
  ordered_json types = ordered_json::array();
  for (const Depths& level : depths)
    types.push_back((level.empty() ? "" : "CrossAttn") + std::string(path) + "Block2D");
  return types;
}

/// One number where all of a list are equal.
template <class List>
ordered_json one_or_list(const List& list) {
  const bool same = std::adjacent_find(list.begin(), list.end(), std::not_equal_to<>()) == list.end();
  return same && !list.empty() ? ordered_json(list.front()) : ordered_json(list);
}

/// transformer_layers_per_block, and reverse_transformer_layers_per_block where the way up has others.
void put_depths(const Levels& levels, const Shapes& shapes, ordered_json& config) {
  const size_t middle = shapes.count("mid_block.attentions.0.transformer_blocks.", ".norm1.weight");
  bool mirrored = true;
  std::vector<size_t> each;
  for (size_t i = 0; i < levels.channels.size(); ++i) {
    Depths all = levels.down[i];
    all.insert(all.end(), levels.up[i].begin(), levels.up[i].end());
    if (i + 1 == levels.channels.size() && middle > 0) all.push_back(middle);
    each.push_back(all.empty() ? 1 : all.front());
    mirrored = mirrored && std::all_of(all.begin(), all.end(), [&](size_t one) { return one == all[0]; });
  }
  if (mirrored) {
    config["transformer_layers_per_block"] = one_or_list(each);
    return;
  }
  ordered_json down = ordered_json::array();
  ordered_json up = ordered_json::array();
  for (size_t i = 0; i < levels.channels.size(); ++i) {
    const Depths& rising = levels.up[levels.channels.size() - 1 - i];
    down.push_back(levels.down[i].empty() ? ordered_json(each[i]) : ordered_json(levels.down[i]));
    up.push_back(rising.empty() ? ordered_json(1) : ordered_json(rising));
  }
  config["transformer_layers_per_block"] = down;
  config["reverse_transformer_layers_per_block"] = up;
}

ordered_json middle_type(const Shapes& shapes) {
  if (!shapes.has("mid_block.resnets.0.conv1.weight")) return nullptr;
  return shapes.has("mid_block.attentions.0.norm.weight") ? "UNetMidBlock2DCrossAttn" : "UNetMidBlock2D";
}

void put_attention(const Levels& levels, const Shapes& shapes, ordered_json& config) {
  const std::optional<std::string> entry = shapes.ending("attentions.0.proj_in.weight");
  const bool linear = entry && shapes.rank(*entry) == 2;
  config["use_linear_projection"] = linear;
  if (linear) {
    ordered_json heads = ordered_json::array();
    for (const uint64_t channels : levels.channels)
      heads.push_back(std::max<uint64_t>(1, channels / kHeadDim));
    config["attention_head_dim"] = heads;
  } else {
    config["attention_head_dim"] = kHeads;
  }
  if (const auto context = shapes.ending(".attn2.to_k.weight"))
    config["cross_attention_dim"] = shapes.size(*context, 1);
}

}  // namespace

std::string unet_config(const ComponentTensors& unet, uint64_t sample_size, const AddedInputs& added,
                        const std::string& where) {
  const Shapes shapes(unet, where);
  const Levels levels = levels_of(shapes);
  std::vector<Depths> rising(levels.up.rbegin(), levels.up.rend());
  ordered_json config = {{"_class_name", "UNet2DConditionModel"},
                         {"sample_size", sample_size},
                         {"in_channels", shapes.size("conv_in.weight", 1)},
                         {"out_channels", shapes.size("conv_out.weight", 0)},
                         {"block_out_channels", levels.channels},
                         {"down_block_types", block_types(levels.down, "Down")},
                         {"up_block_types", block_types(rising, "Up")},
                         {"mid_block_type", middle_type(shapes)},
                         {"layers_per_block", one_or_list(levels.layers)}};
  put_depths(levels, shapes, config);
  put_attention(levels, shapes, config);
  if (shapes.has(kGuidanceEntry)) config["time_cond_proj_dim"] = shapes.size(kGuidanceEntry, 1);
  if (shapes.has("add_embedding.linear_1.weight")) {
    const uint64_t input = shapes.size("add_embedding.linear_1.weight", 1);
    config["addition_embed_type"] = "text_time";
    config["addition_time_embed_dim"] = input > added.pooled ? (input - added.pooled) / added.time_ids : 0;
    config["projection_class_embeddings_input_dim"] = input;
  }
  return config.dump();
}

}  // namespace brume::dialects

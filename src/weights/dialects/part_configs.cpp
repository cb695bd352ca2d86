#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "config_text.h"
#include "shapes.h"

namespace brume::dialects {

using nlohmann::ordered_json;

namespace {

/// Blocks of each resolution, by the numbered layers below `prefix` after the first: blocks, and between
/// those of two resolutions a convolution. A number may be that of a layer without weights.
std::vector<uint64_t> tiny_blocks(const Shapes& shapes, const std::string& prefix, size_t end) {
  std::vector<uint64_t> blocks{0};
  for (size_t layer = 1; layer < end; ++layer) {
    const std::string name = prefix + std::to_string(layer);
    if (shapes.has(name + ".conv.0.weight")) ++blocks.back();
    if (shapes.has(name + ".weight")) blocks.push_back(0);
  }
  blocks.pop_back();  // what follows the last convolution, which leaves the last resolution
  return blocks;
}

bool has_below(const ComponentTensors& tensors, const std::string& prefix) {
  const auto first = tensors.lower_bound(prefix);
  return first != tensors.end() && first->first.starts_with(prefix);
}

}  // namespace

std::string tiny_vae_config(const ComponentTensors& vae, const std::string& where) {
  if (!has_below(vae, "decoder."))
    throw Error(ExitCode::kModelInvalid, where, "is the encoder of a tiny autoencoder, without a decoder",
                "name the file of its decoder, such as taesd_decoder.safetensors, or of both");
  const Shapes shapes(vae, where);
  const std::vector<uint64_t> decoder = tiny_blocks(shapes, "decoder.layers.", vae.size());
  std::vector<uint64_t> encoder;
  uint64_t width = shapes.size("decoder.layers.0.weight", 0);
  if (has_below(vae, "encoder.")) {
    encoder = tiny_blocks(shapes, "encoder.layers.", vae.size());
    width = shapes.size("encoder.layers.0.weight", 0);
  }
  const std::vector<uint64_t> channels(decoder.size(), width);
  const ordered_json config = {{"_class_name", "AutoencoderTiny"},
                               {"latent_channels", shapes.size("decoder.layers.0.weight", 1)},
                               {"encoder_block_out_channels", channels},
                               {"decoder_block_out_channels", channels},
                               {"num_encoder_blocks", encoder},
                               {"num_decoder_blocks", decoder}};
  return config.dump();
}

std::string vae_config(const ComponentTensors& vae, uint64_t sample_size, double scaling_factor,
                       const std::string& where) {
  const Shapes shapes(vae, where);
  const size_t count = shapes.count("encoder.down_blocks.", ".resnets.0.conv1.weight");
  std::vector<uint64_t> channels;
  channels.reserve(count);
  for (size_t i = 0; i < count; ++i)
    channels.push_back(
        shapes.size("encoder.down_blocks." + std::to_string(i) + ".resnets.0.conv1.weight", 0));
  const ordered_json config = {
      {"_class_name", "AutoencoderKL"},
      {"sample_size", sample_size},
      {"in_channels", shapes.size("encoder.conv_in.weight", 1)},
      {"out_channels", shapes.size("decoder.conv_out.weight", 0)},
      {"block_out_channels", channels},
      {"down_block_types", std::vector<std::string>(count, "DownEncoderBlock2D")},
      {"up_block_types", std::vector<std::string>(count, "UpDecoderBlock2D")},
      {"latent_channels", shapes.size("decoder.conv_in.weight", 1)},
      {"layers_per_block", shapes.count("encoder.down_blocks.0.resnets.", ".conv1.weight")},
      {"mid_block_add_attention", shapes.has("decoder.mid_block.attentions.0.to_q.weight")},
      {"use_quant_conv", shapes.has("quant_conv.weight")},
      {"use_post_quant_conv", shapes.has("post_quant_conv.weight")},
      {"scaling_factor", scaling_factor}};
  return config.dump();
}

std::string text_config(const ComponentTensors& text, TextTowerKind kind, const std::string& where) {
  constexpr uint64_t kHeadDim = 64;
  // As the published configs have it: the state of the words is read at the largest id of the row.
  constexpr int kOldEndToken = 2;
  const std::string tower = "text_model.";
  const Shapes shapes(text, where);
  const std::string embedding = tower + "embeddings.token_embedding.weight";
  const uint64_t width = shapes.size(embedding, 1);
  const bool projected = kind == TextTowerKind::kOpenClipProjected;
  ordered_json config = {
      {"architectures", ordered_json::array({projected ? "CLIPTextModelWithProjection" : "CLIPTextModel"})},
      {"model_type", "clip_text_model"},
      {"vocab_size", shapes.size(embedding, 0)},
      {"hidden_size", width},
      {"intermediate_size", shapes.size(tower + "encoder.layers.0.mlp.fc1.weight", 0)},
      {"num_hidden_layers", shapes.count(tower + "encoder.layers.", ".layer_norm1.weight")},
      {"num_attention_heads", std::max<uint64_t>(1, width / kHeadDim)},
      {"max_position_embeddings", shapes.size(tower + "embeddings.position_embedding.weight", 0)},
      {"hidden_act", kind == TextTowerKind::kClip ? "quick_gelu" : "gelu"},
      {"layer_norm_eps", 1e-5},
      {"eos_token_id", kOldEndToken}};
  if (projected) config["projection_dim"] = shapes.size("text_projection.weight", 0);
  return config.dump();
}

}  // namespace brume::dialects

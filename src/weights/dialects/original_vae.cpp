#include <algorithm>
#include <array>

#include "original.h"

namespace brume::dialects {

namespace {

constexpr std::array<NameRow, 10> kHalf{{{"conv_in.", "conv_in."},
                                         {"conv_out.", "conv_out."},
                                         {"norm_out.", "conv_norm_out."},
                                         {"mid.block_1.", "mid_block.resnets.0."},
                                         {"mid.block_2.", "mid_block.resnets.1."},
                                         {"mid.attn_1.norm.", "mid_block.attentions.0.group_norm."},
                                         {"mid.attn_1.q.", "mid_block.attentions.0.to_q."},
                                         {"mid.attn_1.k.", "mid_block.attentions.0.to_k."},
                                         {"mid.attn_1.v.", "mid_block.attentions.0.to_v."},
                                         {"mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0."}}};

constexpr std::array<NameRow, 2> kBetween{
    {{"quant_conv.", "quant_conv."}, {"post_quant_conv.", "post_quant_conv."}}};

/// "0.block.1.conv1.weight" of level 0 -> "0.resnets.1.conv1.weight" of block `number`.
std::optional<std::string> level_name(std::string_view rest, size_t number, const char* resample) {
  const std::string place = std::to_string(number) + ".";
  if (take_word(rest, "block.")) {
    const std::optional<size_t> block = take_index(rest);
    if (!block) return std::nullopt;
    const bool shortcut = take_word(rest, "nin_shortcut.");
    return place + "resnets." + std::to_string(*block) + (shortcut ? ".conv_shortcut." : ".") +
           std::string(rest);
  }
  if (take_word(rest, resample) && take_word(rest, ".conv."))
    return place + resample + "rs.0.conv." + std::string(rest);
  return std::nullopt;
}

/// Of a name below "encoder." or "decoder."; the decoder counts its levels from the finest, diffusers from
/// the coarsest.
std::optional<std::string> half_name(std::string_view name, size_t levels) {
  if (std::optional<std::string> known = renamed(name, kHalf)) return known;
  const bool down = take_word(name, "down.");
  if (!down && !take_word(name, "up.")) return std::nullopt;
  const std::optional<size_t> level = take_index(name);
  if (!level || (!down && *level >= levels)) return std::nullopt;
  const std::optional<std::string> rest =
      down ? level_name(name, *level, "downsample") : level_name(name, levels - 1 - *level, "upsample");
  if (!rest) return std::nullopt;
  return (down ? "down_blocks." : "up_blocks.") + *rest;
}

size_t decoder_levels(const OriginalTensors& tensors) {
  constexpr std::string_view kUp = "decoder.up.";
  size_t levels = 0;
  for (auto at = tensors.lower_bound(kUp); at != tensors.end(); ++at) {
    std::string_view rest = at->first;
    if (!take_word(rest, kUp)) break;
    levels = std::max(levels, take_index(rest).value_or(0) + 1);
  }
  return levels;
}

/// The attention's projections are 1x1 convolutions in the original and linear layers in diffusers: the same
/// values in the same order.
void make_linear(TensorPlace& place) {
  while (place.shape.size() > 2 && place.shape.back() == 1) place.shape.pop_back();
}

}  // namespace

ComponentTensors vae_of(const OriginalTensors& tensors) {
  const size_t levels = decoder_levels(tensors);
  ComponentTensors vae;
  for (const auto& [original, stored] : tensors) {
    std::string_view rest = original;
    std::optional<std::string> name = renamed(rest, kBetween);
    for (const std::string_view half : {"encoder.", "decoder."}) {
      if (!take_word(rest, half)) continue;
      if (const std::optional<std::string> known = half_name(rest, levels)) name = std::string(half) + *known;
      break;
    }
    if (!name) continue;
    TensorPlace place = whole(*stored);
    if (name->find(".attentions.") != std::string::npos) make_linear(place);
    vae.emplace(*name, std::move(place));
  }
  return vae;
}

}  // namespace brume::dialects

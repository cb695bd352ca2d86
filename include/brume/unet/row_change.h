#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/unet/unet_config.h"

namespace brume {

/// "FreeU: Free Lunch in Diffusion U-Net" (Si et al. 2023): in the first two blocks of the up path half of
/// the channels are made stronger by `backbone`, and the lowest frequencies of the skips weaker by `skip`.
struct FreeU {
  std::array<double, 2> backbone;  // b1, b2
  std::array<double, 2> skip;      // s1, s2

  bool operator==(const FreeU&) const = default;
};

/// "1.3,1.4,0.9,0.2": b1, b2, s1, s2, each above 0. Throws kUsage.
FreeU free_u_from_text(std::string_view text);
/// The same, as short as it reads back.
std::string free_u_text(const FreeU& free_u);

/// Self-attentions of a UNet in which a row's tokens see themselves alone, by the order in which it meets
/// them.
using PerturbedLayers = std::shared_ptr<const std::vector<bool>>;

/// Those whose name (as diffusers': "mid_block.attentions.0.transformer_blocks.0.attn1") holds one of
/// `layers`: "mid", "down_blocks.1", "up_blocks.0.attentions.1". Throws kUsage for a layer that names none.
PerturbedLayers perturbed_layers(const UNetConfig& unet, const std::vector<std::string>& layers);

/// What a row of a batch goes through that others do not.
struct RowChange {
  std::optional<FreeU> free_u;
  PerturbedLayers perturbed;  // null: in none
};

}  // namespace brume

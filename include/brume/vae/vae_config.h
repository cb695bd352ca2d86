#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/config_file.h"

namespace brume {

/// Residual blocks of each resolution of an AutoencoderTiny, in the order in which a map comes to them.
struct TinyVaeBlocks {
  std::vector<int64_t> encoder;  // empty: it has none, and decodes alone
  std::vector<int64_t> decoder;

  bool operator==(const TinyVaeBlocks&) const = default;
};

/// The sizes of an autoencoder, from its config.json.
struct VaeConfig {
  std::vector<int64_t> channels;  // of each resolution, finest first
  int64_t picture_channels;       // 3
  int64_t latent_channels;
  int64_t sample_size;  // the side it was trained at: the side of a tile
  double scaling_factor;
  double shift_factor;
  bool force_fp32;  // overflows in fp16
  // It is an AutoencoderTiny; else an AutoencoderKL, which alone has what follows.
  std::optional<TinyVaeBlocks> tiny;
  int64_t layers;
  int64_t norm_groups;
  bool quant_conv;
  bool post_quant_conv;
  bool mid_attention;

  bool operator==(const VaeConfig&) const = default;

  /// Pixels per latent, in each direction.
  int64_t factor() const { return int64_t{1} << (channels.size() - 1); }
  /// The side in latents of the tiles of both where nobody chooses: that which it was trained at.
  int64_t default_tile() const { return std::max<int64_t>(sample_size / factor(), 4); }
  bool has_encoder() const { return !tiny || !tiny->encoder.empty(); }

  /// Throws kModelInvalid, naming file, key and value, for what brume does not have.
  /// Keys that nothing reads are appended to `ignored`, a line a file.
  static VaeConfig read(const ConfigFile& config, std::vector<std::string>& ignored);
};

}  // namespace brume

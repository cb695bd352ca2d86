#include "brume/vae/vae_config.h"

#include <algorithm>
#include <utility>

#include "brume/base/config_file.h"

namespace brume {

namespace {

constexpr int64_t kMost = 1 << 16;
constexpr int64_t kMostBlocks = 64;

void check_blocks(const ConfigFile& config, const std::string& key, const std::string& kind, size_t count) {
  const std::vector<std::string> names = config.get_strings(key);
  // The reference's own default is a single block.
  if ((names.empty() ? 1 : names.size()) != count)
    config.reject(key, "it must have as many entries as block_out_channels");
  for (const std::string& name : names) {
    if (name != kind) config.reject(key, "brume supports " + kind);
  }
}

void read_kl(const ConfigFile& config, VaeConfig& vae) {
  config.expect("act_fn", {"silu", "swish"});
  config.expect("latents_mean", {});
  config.expect("latents_std", {});
  vae.channels = config.has("block_out_channels") ? config.require_int_list("block_out_channels")
                                                  : std::vector<int64_t>{64};
  check_blocks(config, "down_block_types", "DownEncoderBlock2D", vae.channels.size());
  check_blocks(config, "up_block_types", "UpDecoderBlock2D", vae.channels.size());
  vae.layers = config.get_int("layers_per_block", 1, 1, 64);
  vae.norm_groups = config.get_int("norm_num_groups", 32, 1, kMost);
  vae.sample_size = config.get_ints("sample_size", 32, 1).front();
  vae.scaling_factor = config.get_number("scaling_factor", 0.18215, 1e-6, 1e6);
  vae.quant_conv = config.get_bool("use_quant_conv", true);
  vae.post_quant_conv = config.get_bool("use_post_quant_conv", true);
  vae.mid_attention = config.get_bool("mid_block_add_attention", true);
  vae.force_fp32 = config.get_bool("force_upcast", true);
  for (const int64_t channels : vae.channels) {
    if (channels % vae.norm_groups != 0)
      config.reject("norm_num_groups", "it must divide block_out_channels");
  }
}

std::vector<int64_t> ints_or(const ConfigFile& config, const char* key, std::vector<int64_t> fallback) {
  return config.has(key) ? config.require_int_list(key) : std::move(fallback);
}

void read_tiny(const ConfigFile& config, VaeConfig& vae) {
  constexpr int64_t kTile = 512;  // of the reference
  config.expect("act_fn", {"relu"});
  config.expect("upsample_fn", {"nearest"});
  config.expect("upsampling_scaling_factor", {"2"});
  // Of latents as bytes, which the reference makes where nobody draws.
  config.get_number("latent_magnitude", 3, -1e6, 1e6);
  config.get_number("latent_shift", 0.5, -1e6, 1e6);
  vae.channels = ints_or(config, "encoder_block_out_channels", {64, 64, 64, 64});
  vae.tiny = TinyVaeBlocks{{}, ints_or(config, "num_decoder_blocks", {3, 3, 3, 1})};
  // Which diffusers does not know, and the files of taesd.py's decoders come to.
  const bool decodes_alone = config.is_empty_list("num_encoder_blocks");
  if (!decodes_alone) vae.tiny->encoder = ints_or(config, "num_encoder_blocks", {1, 3, 3, 3});
  for (const char* key : {"decoder_block_out_channels", "block_out_channels"}) {
    if (ints_or(config, key, vae.channels) != vae.channels)
      config.reject(key, "it must be as encoder_block_out_channels");
  }
  const auto other = [&](int64_t channels) { return channels != vae.channels.front(); };
  if (std::any_of(vae.channels.begin(), vae.channels.end(), other))
    config.reject("encoder_block_out_channels", "brume supports equal ones");
  for (const auto& [key, blocks] : {std::pair("num_encoder_blocks", vae.tiny->encoder),
                                    std::pair("num_decoder_blocks", vae.tiny->decoder)}) {
    if (blocks.empty()) continue;  // there is no encoder
    if (blocks.size() != vae.channels.size())
      config.reject(key, "it must have as many entries as encoder_block_out_channels");
    for (const int64_t count : blocks) {
      if (count > kMostBlocks) config.reject(key, "brume supports up to " + std::to_string(kMostBlocks));
    }
  }
  vae.sample_size = kTile;
  vae.scaling_factor = config.get_number("scaling_factor", 1, 1e-6, 1e6);
  vae.force_fp32 = config.get_bool("force_upcast", false);
}

}  // namespace

VaeConfig VaeConfig::read(const ConfigFile& config, std::vector<std::string>& ignored) {
  config.expect("_class_name", {"AutoencoderKL", "AutoencoderTiny"});
  config.expect("in_channels", {"3"});
  config.expect("out_channels", {"3"});
  VaeConfig vae{};
  vae.picture_channels = 3;
  vae.latent_channels = config.get_int("latent_channels", 4, 1, kMost);
  vae.shift_factor = config.get_number("shift_factor", 0, -1e6, 1e6);
  if (config.get_string("_class_name", "AutoencoderKL") == "AutoencoderTiny") {
    read_tiny(config, vae);
  } else {
    read_kl(config, vae);
  }
  config.note_unread(ignored);
  return vae;
}

}  // namespace brume

#include "brume/vae/vae_config.h"

#include "brume/base/config_file.h"

namespace brume {

namespace {

constexpr int64_t kMost = 1 << 16;

void check_blocks(const ConfigFile& config, const std::string& key, const std::string& kind, size_t count) {
  const std::vector<std::string> names = config.get_strings(key);
  // The reference's own default is a single block.
  if ((names.empty() ? 1 : names.size()) != count)
    config.reject(key, "it must have as many entries as block_out_channels");
  for (const std::string& name : names) {
    if (name != kind) config.reject(key, "brume supports " + kind);
  }
}

}  // namespace

VaeConfig VaeConfig::read(const ConfigFile& config, std::vector<std::string>& ignored) {
  config.expect("_class_name", {"AutoencoderKL"});
  config.expect("act_fn", {"silu", "swish"});
  config.expect("in_channels", {"3"});
  config.expect("out_channels", {"3"});
  config.expect("latents_mean", {});
  config.expect("latents_std", {});
  VaeConfig vae{};
  vae.channels = config.has("block_out_channels") ? config.require_int_list("block_out_channels")
                                                  : std::vector<int64_t>{64};
  check_blocks(config, "down_block_types", "DownEncoderBlock2D", vae.channels.size());
  check_blocks(config, "up_block_types", "UpDecoderBlock2D", vae.channels.size());
  vae.picture_channels = 3;
  vae.latent_channels = config.get_int("latent_channels", 4, 1, kMost);
  vae.layers = config.get_int("layers_per_block", 1, 1, 64);
  vae.norm_groups = config.get_int("norm_num_groups", 32, 1, kMost);
  vae.sample_size = config.get_ints("sample_size", 32, 1).front();
  vae.scaling_factor = config.get_number("scaling_factor", 0.18215, 1e-6, 1e6);
  vae.shift_factor = config.get_number("shift_factor", 0, -1e6, 1e6);
  vae.quant_conv = config.get_bool("use_quant_conv", true);
  vae.post_quant_conv = config.get_bool("use_post_quant_conv", true);
  vae.mid_attention = config.get_bool("mid_block_add_attention", true);
  vae.force_fp32 = config.get_bool("force_upcast", true);
  for (const int64_t channels : vae.channels) {
    if (channels % vae.norm_groups != 0)
      config.reject("norm_num_groups", "it must divide block_out_channels");
  }
  config.note_unread(ignored);
  return vae;
}

}  // namespace brume

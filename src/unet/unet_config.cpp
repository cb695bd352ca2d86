#include "brume/unet/unet_config.h"

#include <algorithm>
#include <utility>

#include "brume/base/config_file.h"

namespace brume {

namespace {

constexpr int64_t kMostChannels = 1 << 16;
constexpr int64_t kMostSide = 1 << 14;  // of the latents

/// Settings whose other values change the arithmetic in ways that brume does not have.
void refuse_other_arithmetic(const ConfigFile& config) {
  config.expect("_class_name", {"UNet2DConditionModel"});
  config.expect("act_fn", {"silu", "swish"});
  config.expect("addition_embed_type", {"text_time"});
  config.expect("attention_type", {"default"});
  config.expect("center_input_sample", {"false"});
  config.expect("class_embed_type", {});
  config.expect("class_embeddings_concat", {"false"});
  config.expect("conv_in_kernel", {"3"});
  config.expect("conv_out_kernel", {"3"});
  config.expect("cross_attention_norm", {});
  config.expect("dual_cross_attention", {"false"});
  config.expect("encoder_hid_dim", {});
  config.expect("encoder_hid_dim_type", {});
  config.expect("mid_block_only_cross_attention", {"false"});
  config.expect("mid_block_type", {"UNetMidBlock2DCrossAttn", "UNetMidBlock2D"});
  config.expect("num_class_embeds", {});
  config.expect("resnet_out_scale_factor", {"1", "1.0"});
  config.expect("resnet_skip_time_act", {"false"});
  config.expect("resnet_time_scale_shift", {"default"});
  config.expect("time_embedding_act_fn", {});
  config.expect("time_embedding_dim", {});
  config.expect("time_embedding_type", {"positional"});
  config.expect("timestep_post_act", {});
}

/// Without effect on inference, or (upcast_attention) on what our attention computes: it always accumulates
/// in fp32.
void mark_without_effect(const ConfigFile& config) {
  for (const char* key : {"addition_embed_type_num_heads", "dropout", "upcast_attention"}) config.has(key);
}

/// Which of `count` blocks have attention, by their class names.
std::vector<bool> attention_of(const ConfigFile& config, const std::string& key, const std::string& plain,
                               const std::string& cross, std::vector<std::string> fallback) {
  std::vector<std::string> names = config.get_strings(key);
  if (names.empty()) names = std::move(fallback);
  std::vector<bool> attention;
  const std::string known = "brume supports " + plain + " and " + cross;

  for (const std::string& name : names) {
    if (name != plain && name != cross) config.reject(key, known);
    attention.push_back(name == cross);
  }
  return attention;
}

/// transformer_layers_per_block and, where the way up has others, reverse_transformer_layers_per_block.
void read_depths(const ConfigFile& config, std::vector<UNetLevel>& levels) {
  constexpr const char* kDown = "transformer_layers_per_block";
  constexpr const char* kUp = "reverse_transformer_layers_per_block";
  const bool own = config.has(kUp);
  if (!own && config.is_nested(kDown)) config.reject(kDown, std::string("lists in it need ") + kUp);
  const size_t count = levels.size();
  std::vector<size_t> falling;
  std::vector<size_t> rising;  // from the coarsest level
  for (size_t i = 0; i < count; ++i) {
    falling.push_back(static_cast<size_t>(levels[i].layers));
    rising.push_back(static_cast<size_t>(levels[count - 1 - i].layers) + 1);
  }
  const auto down = config.get_int_lists(kDown, 1, falling);
  const auto up = own ? config.get_int_lists(kUp, 1, rising) : std::vector<std::vector<int64_t>>();
  const auto check = [&](bool attends, const std::vector<int64_t>& depths, const char* key) {
    if (attends && std::find(depths.begin(), depths.end(), 0) != depths.end())
      config.reject(key, "a block with attention needs at least 1");
  };
  for (size_t i = 0; i < count; ++i) {
    UNetLevel& level = levels[i];
    level.down_depths = down[i];
    level.up_depths =
        own ? up[count - 1 - i] : std::vector<int64_t>(level.down_depths.size() + 1, down[i][0]);
    check(level.down_attention, level.down_depths, kDown);
    check(level.up_attention, level.up_depths, own ? kUp : kDown);
    // What no block reads is the same whatever is said of it; the middle reads that of the last level.
    if (!level.down_attention && i + 1 < count)
      std::fill(level.down_depths.begin(), level.down_depths.end(), 1);
    if (!level.up_attention) std::fill(level.up_depths.begin(), level.up_depths.end(), 1);
  }
}

UNetMiddle read_middle(const ConfigFile& config) {
  // The key is absent from old configs, which have the block; null says that there is none.
  const std::vector<std::string> keys = config.keys();
  const bool absent = std::find(keys.begin(), keys.end(), "mid_block_type") == keys.end();
  if (!absent && !config.has("mid_block_type")) return UNetMiddle::kNone;
  return config.get_string("mid_block_type", "") == "UNetMidBlock2D" ? UNetMiddle::kResidual
                                                                     : UNetMiddle::kTransformer;
}

std::vector<UNetLevel> read_levels(const ConfigFile& config) {
  const std::vector<int64_t> channels = config.has("block_out_channels")
                                            ? config.require_int_list("block_out_channels")
                                            : std::vector<int64_t>{320, 640, 1280, 1280};
  const size_t count = channels.size();
  const std::vector<bool> down =
      attention_of(config, "down_block_types", "DownBlock2D", "CrossAttnDownBlock2D",
                   {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"});
  std::vector<bool> up =
      attention_of(config, "up_block_types", "UpBlock2D", "CrossAttnUpBlock2D",
                   {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"});
  const std::string as_many = "it must have as many entries as block_out_channels";
  if (down.size() != count) config.reject("down_block_types", as_many);
  if (up.size() != count) config.reject("up_block_types", as_many);
  std::reverse(up.begin(), up.end());
  // attention_head_dim holds the number of heads: a slip of the reference that every config depends on
  // (diffusers issue 2011). num_attention_heads, where a config has it, is what it says.
  const char* heads_key = config.has("num_attention_heads") ? "num_attention_heads" : "attention_head_dim";
  const std::vector<int64_t> heads = config.get_ints(heads_key, 8, count);
  const std::vector<int64_t> layers = config.get_ints("layers_per_block", 2, count);
  const std::vector<int64_t> context = config.get_ints("cross_attention_dim", 1280, count);
  const std::vector<bool> only_cross = config.get_bools("only_cross_attention", false, count);

  std::vector<UNetLevel> levels;
  for (size_t i = 0; i < count; ++i) {
    const bool attends = down[i] || up[i] || i + 1 == count;  // the middle follows the last level
    if (attends && channels[i] % heads[i] != 0) {
      config.reject(heads_key, "the heads must divide block_out_channels");
    }
    levels.push_back({channels[i],
                      layers[i],
                      heads[i],
                      {},
                      {},
                      context[i],
                      only_cross[i] ? nn::FirstAttention::kCross : nn::FirstAttention::kSelf,
                      down[i],
                      up[i]});
  }
  read_depths(config, levels);
  return levels;
}

std::optional<AddedCondition> read_added(const ConfigFile& config) {
  const bool added = config.has("addition_embed_type");
  if (!added) {
    config.expect("projection_class_embeddings_input_dim", {});
    config.expect("addition_time_embed_dim", {});
    return {};
  }
  return AddedCondition{config.require_int("addition_time_embed_dim", 4, kMostChannels),
                        config.require_int("projection_class_embeddings_input_dim", 1, kMostChannels)};
}

void check_groups(const ConfigFile& config, const UNetConfig& unet) {
  for (const UNetLevel& level : unet.levels) {
    if (level.channels % unet.norm_groups != 0)
      config.reject("norm_num_groups", "it must divide block_out_channels");
  }
}

std::optional<int64_t> read_sample_size(const ConfigFile& config) {
  if (!config.has("sample_size")) return {};
  const int64_t size = config.get_ints("sample_size", 0, 1).front();
  if (size > kMostSide) config.reject("sample_size", "it must be at most " + std::to_string(kMostSide));
  return size;
}

}  // namespace

UNetConfig UNetConfig::read(const ConfigFile& config, std::vector<std::string>& ignored) {
  refuse_other_arithmetic(config);
  UNetConfig unet{};
  unet.in_channels = config.get_int("in_channels", 4, 1, kMostChannels);
  unet.out_channels = config.get_int("out_channels", 4, 1, kMostChannels);
  unet.sample_size = read_sample_size(config);
  unet.levels = read_levels(config);
  unet.middle = read_middle(config);
  unet.mid_depth = unet.levels.back().down_depths.front();
  if (unet.middle == UNetMiddle::kTransformer && unet.mid_depth == 0)
    config.reject("transformer_layers_per_block", "the middle needs at least 1");
  unet.mid_scale = config.get_number("mid_block_scale_factor", 1, 1e-3, 1e3);
  unet.projection =
      config.get_bool("use_linear_projection", false) ? nn::Projection::kLinear : nn::Projection::kConv;
  unet.downsample_padding = config.get_int("downsample_padding", 1, 0, 1);
  unet.norm_groups = config.get_int("norm_num_groups", 32, 1, kMostChannels);
  unet.norm_eps = config.get_number("norm_eps", 1e-5, 0, 1);
  unet.cosine_first = config.get_bool("flip_sin_to_cos", true);
  unet.freq_shift = config.get_number("freq_shift", 0, 0, 1);
  const int64_t waves = unet.levels.front().channels / 2;
  if (static_cast<double>(waves) <= unet.freq_shift)
    config.reject("freq_shift", "it must be less than half of the first of block_out_channels");
  unet.added = read_added(config);
  if (config.has("time_cond_proj_dim"))
    unet.scale_width = config.require_int("time_cond_proj_dim", 4, kMostChannels);
  check_groups(config, unet);
  mark_without_effect(config);
  config.note_unread(ignored);
  return unet;
}

double UNetConfig::convolution_work(int64_t height, int64_t width) const {
  constexpr double kKernel = 9;
  double area = static_cast<double>(height) * static_cast<double>(width);
  double work = 0;
  for (const UNetLevel& level : levels) {
    const auto channels = static_cast<double>(level.channels);
    const auto convolutions =
        static_cast<double>(2 * (2 * level.layers + 1));  // two a residual block, down and up
    work += convolutions * kKernel * channels * channels * area;
    area /= 4;
  }
  return work;
}

double UNetConfig::activation_values(int64_t height, int64_t width) const {
  // Maps at work on a level, as wide as its channels; GEGLU's inner ones are eight times as wide, and half of
  // that. Measured, on an H100: SD1.5 at 512x512 held 19.6 maps of its finest level, SDXL at 1024x1024 10.9
  // of one without transformers.
  constexpr double kWithTransformer = 18;
  constexpr double kWithout = 9;
  double area = static_cast<double>(height) * static_cast<double>(width);
  double kept = 0;
  double most = 0;
  for (const UNetLevel& level : levels) {
    const double map = static_cast<double>(level.channels) * area;
    kept += static_cast<double>(level.layers + 1) * map;
    most = std::max(most,
                    kept + map * (level.down_attention || level.up_attention ? kWithTransformer : kWithout));
    area /= 4;
  }
  return most;
}

}  // namespace brume

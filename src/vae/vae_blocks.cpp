#include "brume/vae/vae_blocks.h"

#include <ATen/ATen.h>

#include <utility>

#include "brume/nn/pixels.h"

namespace brume {

namespace {

constexpr double kNormEps = 1e-6;

nn::ResnetBlock resnet(const WeightsView& weights, const VaeConfig& config, int64_t in, int64_t out) {
  return {weights, {in, out, config.norm_groups, kNormEps}};
}

nn::GroupNorm norm(const WeightsView& weights, const VaeConfig& config, int64_t channels,
                   kernels::Activation activation) {
  return {weights, channels, {config.norm_groups, kNormEps, activation}};
}

}  // namespace

VaeMidBlock::VaeMidBlock(const WeightsView& weights, const VaeConfig& config)
    : resnet0_(resnet(weights / "resnets.0", config, config.channels.back(), config.channels.back())),
      resnet1_(resnet(weights / "resnets.1", config, config.channels.back(), config.channels.back())) {
  if (!config.mid_attention) return;
  const int64_t width = config.channels.back();
  const WeightsView attention = weights / "attentions.0";
  pixels_ = PixelAttention{norm(attention / "group_norm", config, width, kernels::Activation::kNone),
                           nn::SelfAttention(attention, width, /*heads=*/1, nn::Bias::kYes)};
}

at::Tensor VaeMidBlock::operator()(const at::Tensor& x) const {
  at::Tensor y = resnet0_(x);
  if (pixels_) {
    const at::Tensor tokens = nn::pixels_of(pixels_->norm(y));  // [N, H W, C]
    y = nn::map_of(pixels_->attention.plus(tokens, nn::pixels_of(y)), y.size(2), y.size(3));
  }
  return resnet1_(y);
}

VaeEncoder::VaeEncoder(const WeightsView& weights, const VaeConfig& config)
    : conv_in_(weights / "conv_in", {config.picture_channels, config.channels.front()}),
      mid_(weights / "mid_block", config),
      norm_out_(norm(weights / "conv_norm_out", config, config.channels.back(), kernels::Activation::kSilu)),
      conv_out_(weights / "conv_out", {config.channels.back(), 2 * config.latent_channels}) {
  int64_t in = config.channels.front();
  for (size_t i = 0; i < config.channels.size(); ++i) {
    const WeightsView block = weights / "down_blocks" / i;
    const int64_t out = config.channels[i];
    Level level;
    for (int64_t j = 0; j < config.layers; ++j) {
      level.resnets.push_back(
          resnet(block / "resnets" / static_cast<size_t>(j), config, j == 0 ? in : out, out));
    }
    if (i + 1 < config.channels.size())
      level.downsample.emplace(block / "downsamplers.0", out, /*padding=*/0);
    levels_.push_back(std::move(level));
    in = out;
  }
}

at::Tensor VaeEncoder::operator()(const at::Tensor& pictures) const {
  at::Tensor x = conv_in_(pictures);
  for (const Level& level : levels_) {
    for (const nn::ResnetBlock& block : level.resnets) x = block(x);
    if (level.downsample) x = (*level.downsample)(x);
  }
  return conv_out_(norm_out_(mid_(x)));
}

VaeDecoder::VaeDecoder(const WeightsView& weights, const VaeConfig& config)
    : conv_in_(weights / "conv_in", {config.latent_channels, config.channels.back()}),
      mid_(weights / "mid_block", config),
      norm_out_(norm(weights / "conv_norm_out", config, config.channels.front(), kernels::Activation::kSilu)),
      conv_out_(weights / "conv_out", {config.channels.front(), config.picture_channels}) {
  const size_t count = config.channels.size();
  int64_t in = config.channels.back();
  for (size_t i = 0; i < count; ++i) {
    const WeightsView block = weights / "up_blocks" / i;
    const int64_t out = config.channels[count - 1 - i];
    Level level;
    for (int64_t j = 0; j <= config.layers; ++j) {
      level.resnets.push_back(
          resnet(block / "resnets" / static_cast<size_t>(j), config, j == 0 ? in : out, out));
    }
    if (i + 1 < count) level.upsample.emplace(block / "upsamplers.0" / "conv", out);
    levels_.push_back(std::move(level));
    in = out;
  }
}

at::Tensor VaeDecoder::operator()(const at::Tensor& latents) const {
  at::Tensor x = mid_(conv_in_(latents));
  for (const Level& level : levels_) {
    for (const nn::ResnetBlock& block : level.resnets) x = block(x);
    if (level.upsample) x = (*level.upsample)(x, 2 * x.size(2), 2 * x.size(3));
  }
  return conv_out_(norm_out_(x));
}

}  // namespace brume

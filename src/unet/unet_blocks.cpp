#include "brume/unet/unet_blocks.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace brume {

namespace {

/// What every residual block of a UNet is built from.
struct Sources {
  const UNetConfig& unet;
  nn::TimeProjections& times;
};

nn::ResnetBlock resnet(const WeightsView& weights, const Sources& sources, int64_t in, int64_t out) {
  return {weights, {in, out, sources.unet.norm_groups, sources.unet.norm_eps}, sources.times};
}

/// A block of the up path, whose input is a map and a skip.
nn::ResnetBlock joining_resnet(const WeightsView& weights, const Sources& sources, int64_t in, int64_t skip,
                               int64_t out) {
  nn::ResnetShape shape{in + skip, out, sources.unet.norm_groups, sources.unet.norm_eps};
  shape.joined = skip;
  return {weights, shape, sources.times};
}

nn::SpatialTransformer transformer(const WeightsView& weights, const UNetConfig& unet, const UNetLevel& level,
                                   int64_t depth) {
  return {weights,
          {level.channels, level.context_width, level.heads, depth, unet.norm_groups, unet.projection,
           level.first_attention}};
}

nn::ResnetBlock mid_resnet(const WeightsView& weights, const Sources& sources) {
  const UNetConfig& unet = sources.unet;
  const int64_t channels = unet.levels.back().channels;
  return {weights, {channels, channels, unet.norm_groups, unet.norm_eps, unet.mid_scale}, sources.times};
}

/// The middle has no only_cross_attention.
nn::SpatialTransformer mid_transformer(const WeightsView& weights, const UNetConfig& unet) {
  UNetLevel level = unet.levels.back();
  level.first_attention = nn::FirstAttention::kSelf;
  return transformer(weights, unet, level, unet.mid_depth);
}

void prepare_all(const std::vector<nn::SpatialTransformer>& transformers, const at::Tensor& context,
                 std::vector<at::Tensor>& prepared) {
  for (const nn::SpatialTransformer& transformer : transformers) transformer.prepare(context, prepared);
}

kernels::MapParts joined(const at::Tensor& x, const at::Tensor& skip,
                         const std::optional<FreeUStage>& free_u) {
  if (!free_u) return {x, skip};
  return {free_u->backbone(x), free_u->skip(skip)};
}

}  // namespace

DownBlock::DownBlock(const WeightsView& weights, const UNetConfig& unet, size_t level,
                     nn::TimeProjections& times) {
  const Sources sources{unet, times};
  const UNetLevel& sizes = unet.levels[level];
  const int64_t from = unet.levels[level == 0 ? 0 : level - 1].channels;
  for (int64_t i = 0; i < sizes.layers; ++i) {
    const auto index = static_cast<size_t>(i);
    resnets_.push_back(
        resnet(weights / "resnets" / index, sources, i == 0 ? from : sizes.channels, sizes.channels));
    if (sizes.down_attention)
      attentions_.push_back(
          transformer(weights / "attentions" / index, unet, sizes, sizes.down_depths[index]));
  }
  if (level + 1 < unet.levels.size()) {
    downsample_.emplace(weights / "downsamplers.0", sizes.channels, unet.downsample_padding);
  }
}

void DownBlock::prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const {
  prepare_all(attentions_, context, prepared);
}

at::Tensor DownBlock::operator()(at::Tensor x, const BlockInput& input,
                                 std::vector<at::Tensor>& skips) const {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    x = resnets_[i](x, input.times);
    if (!attentions_.empty()) x = attentions_[i](x, input.words, input.lone);
    skips.push_back(x);
  }
  if (downsample_) {
    x = (*downsample_)(x);
    skips.push_back(x);
  }
  return x;
}

MidBlock::MidBlock(const WeightsView& weights, const UNetConfig& unet, nn::TimeProjections& times)
    : first_(mid_resnet(weights / "resnets.0", {unet, times})) {
  if (unet.middle != UNetMiddle::kTransformer) return;
  rest_ =
      Rest{mid_transformer(weights / "attentions.0", unet), mid_resnet(weights / "resnets.1", {unet, times})};
}

void MidBlock::prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const {
  if (rest_) rest_->attention.prepare(context, prepared);
}

at::Tensor MidBlock::operator()(const at::Tensor& x, const BlockInput& input) const {
  const at::Tensor y = first_(x, input.times);
  return rest_ ? rest_->resnet(rest_->attention(y, input.words, input.lone), input.times) : y;
}

UpBlock::UpBlock(const WeightsView& weights, const UNetConfig& unet, size_t level,
                 nn::TimeProjections& times) {
  const Sources sources{unet, times};
  const UNetLevel& sizes = unet.levels[level];
  const int64_t coarser = unet.levels[std::min(level + 1, unet.levels.size() - 1)].channels;
  const int64_t finer = unet.levels[level == 0 ? 0 : level - 1].channels;
  for (int64_t i = 0; i <= sizes.layers; ++i) {
    const auto index = static_cast<size_t>(i);
    const int64_t in = i == 0 ? coarser : sizes.channels;
    const int64_t skip =
        i == sizes.layers ? finer : sizes.channels;  // the last skip is what entered this level
    resnets_.push_back(joining_resnet(weights / "resnets" / index, sources, in, skip, sizes.channels));
    if (sizes.up_attention)
      attentions_.push_back(transformer(weights / "attentions" / index, unet, sizes, sizes.up_depths[index]));
  }
  if (level > 0) upsample_.emplace(weights / "upsamplers.0" / "conv", sizes.channels);
}

void UpBlock::prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const {
  prepare_all(attentions_, context, prepared);
}

at::Tensor UpBlock::operator()(at::Tensor x, const BlockInput& input, std::vector<at::Tensor>& skips) const {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    x = resnets_[i](joined(x, skips.back(), input.free_u), input.times);
    skips.pop_back();
    if (!attentions_.empty()) x = attentions_[i](x, input.words, input.lone);
  }
  // Twice the size, or one row or column less where the halving had rounded up.
  return upsample_ ? (*upsample_)(x, skips.back().size(2), skips.back().size(3)) : x;
}

}  // namespace brume

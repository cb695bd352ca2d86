#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brume/nn/resample.h"
#include "brume/nn/resnet_block.h"
#include "brume/nn/spatial_transformer.h"
#include "brume/nn/time_projections.h"
#include "brume/unet/free_u.h"
#include "brume/unet/unet_config.h"
#include "brume/weights/weights.h"

namespace brume {

/// What every block of one pass sees beside its map.
struct BlockInput {
  at::Tensor times;           // [N, columns]: the time embedding as every residual block reads it
  nn::PreparedReader& words;  // each block takes what it prepared
  nn::LoneTokens& lone;
  std::optional<FreeUStage> free_u;  // of the block of the up path
};

/// Residual blocks, each followed by a transformer where the level has attention, then a halving, but for the
/// coarsest level. Mirrors diffusers' DownBlock2D and CrossAttnDownBlock2D.
class DownBlock {
 public:
  DownBlock(const WeightsView& weights, const UNetConfig& unet, size_t level, nn::TimeProjections& times);
  /// Appends what its transformers read of the words. context [N, T, context_width]
  void prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const;
  /// x [N, C_in, H, W] -> [N, C, H', W']; every intermediate map is appended to `skips`.
  at::Tensor operator()(at::Tensor x, const BlockInput& input, std::vector<at::Tensor>& skips) const;

 private:
  std::vector<nn::ResnetBlock> resnets_;
  std::vector<nn::SpatialTransformer> attentions_;  // one a resnet, or none
  std::optional<nn::Downsample> downsample_;
};

/// Residual block at the coarsest level, and mostly a transformer and another one. Mirrors diffusers'
/// UNetMidBlock2DCrossAttn, and UNetMidBlock2D as the UNet makes it.
class MidBlock {
 public:
  MidBlock(const WeightsView& weights, const UNetConfig& unet, nn::TimeProjections& times);
  void prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const;
  /// [N, C, H, W] -> the same
  at::Tensor operator()(const at::Tensor& x, const BlockInput& input) const;

 private:
  struct Rest {
    nn::SpatialTransformer attention;
    nn::ResnetBlock resnet;
  };

  nn::ResnetBlock first_;
  std::optional<Rest> rest_;
};

/// As DownBlock, with a skip of the down path joined before each residual block, then a doubling, but for the
/// finest level.
/// Mirrors diffusers' UpBlock2D and CrossAttnUpBlock2D.
class UpBlock {
 public:
  UpBlock(const WeightsView& weights, const UNetConfig& unet, size_t level, nn::TimeProjections& times);
  void prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const;
  /// x [N, C_in, H, W] -> [N, C, H', W']; takes its skips from the end of `skips`. H' and W' are those of the
  /// next skip.
  at::Tensor operator()(at::Tensor x, const BlockInput& input, std::vector<at::Tensor>& skips) const;

 private:
  std::vector<nn::ResnetBlock> resnets_;
  std::vector<nn::SpatialTransformer> attentions_;  // one a resnet, or none
  std::optional<nn::Upsample> upsample_;
};

}  // namespace brume

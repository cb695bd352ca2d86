#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brume/nn/attention.h"
#include "brume/nn/conv2d.h"
#include "brume/nn/norm.h"
#include "brume/nn/resample.h"
#include "brume/nn/resnet_block.h"
#include "brume/vae/vae_config.h"
#include "brume/weights/weights.h"

namespace brume {

/// Residual block, one head of attention over the pixels (where the config has it), residual block.
/// Mirrors diffusers' UNetMidBlock2D as an autoencoder builds it.
class VaeMidBlock {
 public:
  VaeMidBlock(const WeightsView& weights, const VaeConfig& config);
  /// [N, C, H, W] -> the same
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  struct PixelAttention {
    nn::GroupNorm norm;
    nn::SelfAttention attention;
  };
  nn::ResnetBlock resnet0_;
  std::optional<PixelAttention> pixels_;
  nn::ResnetBlock resnet1_;
};

/// Pictures to moments. Mirrors diffusers' Encoder with double_z.
class VaeEncoder {
 public:
  VaeEncoder(const WeightsView& weights, const VaeConfig& config);
  /// [N, 3, H, W] -> [N, 2 latent_channels, H/f, W/f]
  at::Tensor operator()(const at::Tensor& pictures) const;

 private:
  struct Level {
    std::vector<nn::ResnetBlock> resnets;
    std::optional<nn::Downsample> downsample;
  };
  nn::Conv2d conv_in_;
  std::vector<Level> levels_;
  VaeMidBlock mid_;
  nn::GroupNorm norm_out_;
  nn::Conv2d conv_out_;
};

/// Latents to pictures. Mirrors diffusers' Decoder.
class VaeDecoder {
 public:
  VaeDecoder(const WeightsView& weights, const VaeConfig& config);
  /// [N, latent_channels, h, w] -> [N, 3, h f, w f]
  at::Tensor operator()(const at::Tensor& latents) const;

 private:
  struct Level {
    std::vector<nn::ResnetBlock> resnets;
    std::optional<nn::Upsample> upsample;
  };
  nn::Conv2d conv_in_;
  VaeMidBlock mid_;
  std::vector<Level> levels_;
  nn::GroupNorm norm_out_;
  nn::Conv2d conv_out_;
};

}  // namespace brume

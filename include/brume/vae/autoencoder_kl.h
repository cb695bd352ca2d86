#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <optional>

#include "brume/nn/conv2d.h"
#include "brume/vae/vae_blocks.h"
#include "brume/vae/vae_config.h"
#include "brume/weights/weights.h"

namespace brume {

/// The normal distribution that a picture is encoded to.
struct LatentDistribution {
  at::Tensor mean;          // [N, C, h, w]
  at::Tensor log_variance;  // [N, C, h, w], clamped to [-30, 20]
};

/// The picture autoencoder of latent diffusion (Rombach et al. 2022). Mirrors diffusers' AutoencoderKL.
/// Latents here are the autoencoder's own; to_unet and from_unet change to and from the scale that a UNet
/// sees.
class AutoencoderKL {
 public:
  AutoencoderKL(const WeightsView& weights, const VaeConfig& config);

  /// pictures [N, 3, H, W] in [-1, 1], H and W multiples of the factor.
  LatentDistribution encode(const at::Tensor& pictures) const;
  /// As encode, by overlapping tiles of `tile` latents.
  LatentDistribution encode_tiled(const at::Tensor& pictures, int64_t tile) const;
  /// latents [N, C, h, w] -> pictures [N, 3, h f, w f], about [-1, 1], not clamped.
  at::Tensor decode(const at::Tensor& latents) const;
  /// As decode, by overlapping tiles whose seams are blended: memory does not grow with the picture.
  /// `tile` is the side of a tile in latents.
  at::Tensor decode_tiled(const at::Tensor& latents, int64_t tile) const;
  /// The tile that decode_tiled takes where nobody chooses: the side the model was trained at.
  int64_t default_tile() const { return std::max<int64_t>(config_.sample_size / config_.factor(), 4); }

  at::Tensor to_unet(const at::Tensor& latents) const;
  at::Tensor from_unet(const at::Tensor& latents) const;
  const VaeConfig& config() const { return config_; }
  /// Of the weights, and of the latents that decode takes.
  at::ScalarType dtype() const { return dtype_; }

 private:
  at::Tensor moments(const at::Tensor& pictures) const;

  VaeConfig config_;
  at::ScalarType dtype_;
  VaeEncoder encoder_;
  VaeDecoder decoder_;
  std::optional<nn::Conv2d> quant_conv_;
  std::optional<nn::Conv2d> post_quant_conv_;
};

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "brume/nn/conv2d.h"
#include "brume/vae/autoencoder.h"
#include "brume/vae/vae_blocks.h"

namespace brume {

/// Mirrors diffusers' AutoencoderKL.
class AutoencoderKL final : public Autoencoder {
 public:
  AutoencoderKL(const WeightsView& weights, const VaeConfig& config);

  at::Tensor decode(const at::Tensor& latents) const override;

 private:
  /// Moments, [N, 2 C, h, w].
  at::Tensor encoded(const at::Tensor& pictures) const override;
  LatentDistribution distribution(const at::Tensor& encoded) const override;

  VaeEncoder encoder_;
  VaeDecoder decoder_;
  std::optional<nn::Conv2d> quant_conv_;
  std::optional<nn::Conv2d> post_quant_conv_;
};

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brume/nn/conv2d.h"
#include "brume/nn/resample.h"
#include "brume/vae/autoencoder.h"

namespace brume {

/// Three convolutions added to the input. Mirrors diffusers' AutoencoderTinyBlock.
class TinyBlock {
 public:
  TinyBlock(const WeightsView& weights, int64_t channels);
  /// Changes x [N, C, H, W], channels last.
  void operator()(at::Tensor& x) const;

 private:
  nn::Conv2d conv0_;
  nn::Conv2d conv2_;
  nn::Conv2d conv4_;
};

/// TAESD (github.com/madebyollin/taesd): convolutions alone, distilled from the autoencoder of a family,
/// whose latents it shares. Mirrors diffusers' AutoencoderTiny. Tiles are blended as AutoencoderKL's are.
class AutoencoderTiny final : public Autoencoder {
 public:
  AutoencoderTiny(const WeightsView& weights, const VaeConfig& config);

  at::Tensor decode(const at::Tensor& latents) const override;

 private:
  /// Latents, [N, C, h, w].
  at::Tensor encoded(const at::Tensor& pictures) const override;
  LatentDistribution distribution(const at::Tensor& encoded) const override;

  void open_encoder(const WeightsView& layers);
  void open_decoder(const WeightsView& layers);

  struct EncoderLevel {
    nn::Conv2d conv;  // to this level's resolution
    std::vector<TinyBlock> blocks;
  };
  struct DecoderLevel {
    std::vector<TinyBlock> blocks;
    std::optional<nn::Upsample> upsample;  // to the next one's; none after the last
  };
  std::vector<EncoderLevel> encoder_;
  std::optional<nn::Conv2d> encoder_out_;
  std::optional<nn::Conv2d> decoder_in_;
  std::vector<DecoderLevel> decoder_;
  std::optional<nn::Conv2d> decoder_out_;
};

}  // namespace brume

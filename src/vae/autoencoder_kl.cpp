#include "brume/vae/autoencoder_kl.h"

#include <ATen/ATen.h>

#include "brume/vae/tiling.h"

namespace brume {

namespace {

LatentDistribution split(const at::Tensor& moments) {
  const std::vector<at::Tensor> halves = moments.chunk(2, 1);
  return {halves[0], halves[1].clamp(-30.0, 20.0)};
}

}  // namespace

AutoencoderKL::AutoencoderKL(const WeightsView& weights, const VaeConfig& config)
    : config_(config),
      dtype_(weights.dtype()),
      encoder_(weights / "encoder", config),
      decoder_(weights / "decoder", config) {
  const int64_t latent = config.latent_channels;
  const auto pointwise = [](int64_t channels) { return nn::ConvShape{channels, channels, 1, 1, 0}; };
  if (config.quant_conv) quant_conv_.emplace(weights / "quant_conv", pointwise(2 * latent));
  if (config.post_quant_conv) post_quant_conv_.emplace(weights / "post_quant_conv", pointwise(latent));
}

LatentDistribution AutoencoderKL::encode(const at::Tensor& pictures) const {
  return split(moments(pictures));
}

LatentDistribution AutoencoderKL::encode_tiled(const at::Tensor& pictures, int64_t tile) const {
  const int64_t pixels = tile * config_.factor();
  if (pictures.size(2) <= pixels && pictures.size(3) <= pixels) return encode(pictures);
  return split(by_tiles(pictures, {pixels, tile}, [this](const at::Tensor& part) { return moments(part); }));
}

at::Tensor AutoencoderKL::moments(const at::Tensor& pictures) const {
  const at::Tensor encoded = encoder_(pictures);  // [N, 2 C, h, w]
  return quant_conv_ ? (*quant_conv_)(encoded) : encoded;
}

at::Tensor AutoencoderKL::decode(const at::Tensor& latents) const {
  return decoder_(post_quant_conv_ ? (*post_quant_conv_)(latents) : latents);
}

at::Tensor AutoencoderKL::decode_tiled(const at::Tensor& latents, int64_t tile) const {
  if (latents.size(2) <= tile && latents.size(3) <= tile) return decode(latents);
  return by_tiles(latents, {tile, tile * config_.factor()},
                  [this](const at::Tensor& part) { return decode(part); });
}

at::Tensor AutoencoderKL::to_unet(const at::Tensor& latents) const {
  return (latents - config_.shift_factor) * config_.scaling_factor;
}

at::Tensor AutoencoderKL::from_unet(const at::Tensor& latents) const {
  return latents / config_.scaling_factor + config_.shift_factor;
}

}  // namespace brume

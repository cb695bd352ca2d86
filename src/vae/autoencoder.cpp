#include "brume/vae/autoencoder.h"

#include <ATen/ATen.h>

#include <utility>

#include "brume/vae/autoencoder_kl.h"
#include "brume/vae/autoencoder_tiny.h"
#include "brume/vae/tiling.h"

namespace brume {

Autoencoder::Autoencoder(const WeightsView& weights, VaeConfig config)
    : config_(std::move(config)), dtype_(weights.dtype()) {}

LatentDistribution Autoencoder::encode_tiled(const at::Tensor& pictures, int64_t tile) const {
  const int64_t pixels = tile * config_.factor();
  if (pictures.size(2) <= pixels && pictures.size(3) <= pixels) return encode(pictures);
  return distribution(
      by_tiles(pictures, {pixels, tile}, [this](const at::Tensor& part) { return encoded(part); }));
}

at::Tensor Autoencoder::decode_tiled(const at::Tensor& latents, int64_t tile) const {
  if (latents.size(2) <= tile && latents.size(3) <= tile) return decode(latents);
  return by_tiles(latents, {tile, tile * config_.factor()},
                  [this](const at::Tensor& part) { return decode(part); });
}

at::Tensor Autoencoder::to_unet(const at::Tensor& latents) const {
  return (latents - config_.shift_factor) * config_.scaling_factor;
}

at::Tensor Autoencoder::from_unet(const at::Tensor& latents) const {
  return latents / config_.scaling_factor + config_.shift_factor;
}

std::unique_ptr<const Autoencoder> open_autoencoder(const WeightsView& weights, const VaeConfig& config) {
  if (config.tiny) return std::make_unique<AutoencoderTiny>(weights, config);
  return std::make_unique<AutoencoderKL>(weights, config);
}

}  // namespace brume

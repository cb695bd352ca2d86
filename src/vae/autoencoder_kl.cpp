#include "brume/vae/autoencoder_kl.h"

#include <ATen/ATen.h>

#include <vector>

namespace brume {

AutoencoderKL::AutoencoderKL(const WeightsView& weights, const VaeConfig& config)
    : Autoencoder(weights, config),
      encoder_(weights / "encoder", config),
      decoder_(weights / "decoder", config) {
  const int64_t latent = config.latent_channels;
  const auto pointwise = [](int64_t channels) { return nn::ConvShape{channels, channels, 1, 1, 0}; };
  if (config.quant_conv) quant_conv_.emplace(weights / "quant_conv", pointwise(2 * latent));
  if (config.post_quant_conv) post_quant_conv_.emplace(weights / "post_quant_conv", pointwise(latent));
}

at::Tensor AutoencoderKL::encoded(const at::Tensor& pictures) const {
  const at::Tensor moments = encoder_(pictures);
  return quant_conv_ ? (*quant_conv_)(moments) : moments;
}

LatentDistribution AutoencoderKL::distribution(const at::Tensor& encoded) const {
  const std::vector<at::Tensor> halves = encoded.chunk(2, 1);
  return {halves[0], halves[1].clamp(-30.0, 20.0)};
}

at::Tensor AutoencoderKL::decode(const at::Tensor& latents) const {
  return decoder_(post_quant_conv_ ? (*post_quant_conv_)(latents) : latents);
}

}  // namespace brume

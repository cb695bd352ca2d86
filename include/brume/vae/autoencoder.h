#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include "brume/vae/vae_config.h"
#include "brume/weights/weights.h"

namespace brume {

/// What a picture is encoded to: a normal distribution, or nothing but its mean.
struct LatentDistribution {
  at::Tensor mean;          // [N, C, h, w]
  at::Tensor log_variance;  // [N, C, h, w], clamped to [-30, 20]; undefined where there is none
};

/// Pictures to latents and back (Rombach et al. 2022). Latents here are the autoencoder's own; to_unet and
/// from_unet change to and from the scale that a UNet sees.
class Autoencoder {
 public:
  virtual ~Autoencoder() = default;
  Autoencoder(const Autoencoder&) = delete;
  Autoencoder& operator=(const Autoencoder&) = delete;

  /// pictures [N, 3, H, W] in [-1, 1], H and W multiples of the factor. Only where the config has an encoder.
  LatentDistribution encode(const at::Tensor& pictures) const { return distribution(encoded(pictures)); }
  /// As encode, by overlapping tiles of `tile` latents.
  LatentDistribution encode_tiled(const at::Tensor& pictures, int64_t tile) const;
  /// latents [N, C, h, w] -> pictures [N, 3, h f, w f], about [-1, 1], not clamped.
  virtual at::Tensor decode(const at::Tensor& latents) const = 0;
  /// As decode, by overlapping tiles whose seams are blended: memory does not grow with the picture.
  /// `tile` is the side of a tile in latents.
  at::Tensor decode_tiled(const at::Tensor& latents, int64_t tile) const;

  at::Tensor to_unet(const at::Tensor& latents) const;
  at::Tensor from_unet(const at::Tensor& latents) const;
  const VaeConfig& config() const { return config_; }
  /// Of the weights, and of the latents that decode takes.
  at::ScalarType dtype() const { return dtype_; }

 protected:
  Autoencoder(const WeightsView& weights, VaeConfig config);

 private:
  /// What comes out of the encoder, [N, C', h, w].
  virtual at::Tensor encoded(const at::Tensor& pictures) const = 0;
  /// What that means.
  virtual LatentDistribution distribution(const at::Tensor& encoded) const = 0;

  VaeConfig config_;
  at::ScalarType dtype_;
};

/// The one that the config describes.
std::unique_ptr<const Autoencoder> open_autoencoder(const WeightsView& weights, const VaeConfig& config);

}  // namespace brume

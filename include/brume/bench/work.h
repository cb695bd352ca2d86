#pragma once
#include <cstdint>

#include "brume/text/clip_text_config.h"
#include "brume/unet/unet_config.h"
#include "brume/vae/vae_config.h"

namespace brume::bench {

/// What a network does for one row of its batch, and what it is made of. Multiply-adds are those of
/// convolutions, matrix products and attention; all else is small beside them.
struct Work {
  double multiply_adds = 0;
  double parameters = 0;

  Work& operator+=(const Work& other);
  friend Work operator+(Work left, const Work& right) { return left += right; }
  double flop() const { return 2 * multiply_adds; }
};

/// A map of one level: its pixels.
struct MapSize {
  int64_t height = 0;
  int64_t width = 0;
  double area() const { return static_cast<double>(height) * static_cast<double>(width); }
};

/// One call for one row of latents of this size and `tokens` of context.
Work unet_work(const UNetConfig& unet, MapSize latents, int64_t tokens);
/// Latents of this size to a picture, not by tiles.
Work decode_work(const VaeConfig& vae, MapSize latents);
/// A picture whose latents have this size to its distribution.
Work encode_work(const VaeConfig& vae, MapSize latents);
/// One prompt of `tokens`.
Work text_work(const ClipTextConfig& text, int64_t tokens);

}  // namespace brume::bench

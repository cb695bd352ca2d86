#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace brume {

struct Tiling {
  int64_t tile;    // side of a tile in latents
  int64_t factor;  // pixels per latent
};

/// Decodes latents [N, C, h, w] by tiles that overlap by a quarter, each blended linearly into the one above
/// and the one to its left -> [N, 3, h factor, w factor]. Mirrors AutoencoderKL.tiled_decode of diffusers.
at::Tensor decode_by_tiles(const at::Tensor& latents, const Tiling& tiling,
                           const std::function<at::Tensor(const at::Tensor&)>& decode);

}  // namespace brume

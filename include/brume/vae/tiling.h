#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace brume {

/// The side of a tile before and after: latents and pixels to decode, pixels and latents to encode.
struct Tiling {
  int64_t from;
  int64_t to;
};

/// Applies `map` to x [N, C, H, W] by tiles that overlap by a quarter, each result blended linearly into the
/// one above and the one to its left -> [N, C', H to/from, W to/from]. Mirrors tiled_decode and tiled_encode
/// of diffusers' AutoencoderKL.
at::Tensor by_tiles(const at::Tensor& x, const Tiling& tiling,
                    const std::function<at::Tensor(const at::Tensor&)>& map);

}  // namespace brume

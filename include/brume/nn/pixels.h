#pragma once
#include <ATen/core/Tensor.h>

namespace brume::nn {

// The pixels of a map that is channels last are tokens as they lie in memory: neither direction copies them.

/// [N, C, H, W] -> [N, H W, C]
inline at::Tensor pixels_of(const at::Tensor& map) { return map.permute({0, 2, 3, 1}).flatten(1, 2); }
/// [N, H W, C] -> [N, C, H, W]
inline at::Tensor map_of(const at::Tensor& pixels, int64_t height, int64_t width) {
  return pixels.view({pixels.size(0), height, width, pixels.size(2)}).permute({0, 3, 1, 2});
}

}  // namespace brume::nn

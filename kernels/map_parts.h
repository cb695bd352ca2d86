#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

/// A map, or two that stand for their concatenation along the channels, which is never made.
struct MapParts {
  MapParts(at::Tensor map)
      : first(std::move(map)) {}  // NOLINT(google-explicit-constructor): a map is its only part
  MapParts(at::Tensor a, at::Tensor b) : first(std::move(a)), second(std::move(b)) {}

  int64_t channels() const { return first.size(1) + (second.defined() ? second.size(1) : 0); }

  at::Tensor first;   // [N, C1, H, W]
  at::Tensor second;  // [N, C2, H, W], or undefined
};

}  // namespace brume::kernels

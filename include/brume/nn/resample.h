#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brume/nn/conv2d.h"
#include "brume/weights/weights.h"
#include "kernels/packed.h"

namespace brume::nn {

/// Halves a map with a strided convolution. Mirrors
/// diffusers.models.downsampling.Downsample2D(use_conv=True).
class Downsample {
 public:
  /// `padding` 1 pads all sides; 0 pads one row below and one column to the right, as autoencoders do.
  Downsample(const WeightsView& weights, int64_t channels, int64_t padding);
  /// [N, C, H, W] -> [N, C, ceil(H/2) or floor(H/2) without padding, the same of W]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  int64_t padding_;
  Conv2d conv_;
};

/// Nearest-neighbour enlargement, then a convolution. Mirrors
/// diffusers.models.upsampling.Upsample2D(use_conv=True).
class Upsample {
 public:
  /// `conv`: the weights of the convolution.
  Upsample(const WeightsView& conv, int64_t channels, Bias bias = Bias::kYes);
  /// [N, C, h, w] -> [N, C, height, width], at most twice the size
  at::Tensor operator()(const at::Tensor& x, int64_t height, int64_t width) const;

 private:
  Upsample(const at::Tensor& weight, const std::optional<at::Tensor>& bias, const HostCopy& host_copy);
  at::Tensor doubled(const at::Tensor& x) const;

  kernels::PackedConvolution conv_;
  // Three taps of a doubled map meet two pixels of the map itself: where the size is doubled exactly, four
  // convolutions of 2x2, one for each parity of row and column, do the same with 4 / 9 of the work, and no
  // doubled map is read.
  std::vector<kernels::PackedConvolution> parities_;  // (even, even), (even, odd), (odd, even), (odd, odd)
};

}  // namespace brume::nn

#include "brume/nn/resample.h"

#include <ATen/ATen.h>

namespace brume::nn {

Downsample::Downsample(const WeightsView& weights, int64_t channels, int64_t padding)
    : padding_(padding), conv_(weights / "conv", {channels, channels, /*kernel=*/3, /*stride=*/2, padding}) {}

at::Tensor Downsample::operator()(const at::Tensor& x) const {
  return padding_ == 0 ? conv_(at::constant_pad_nd(x, {0, 1, 0, 1})) : conv_(x);
}

Upsample::Upsample(const WeightsView& weights, int64_t channels)
    : conv_(weights / "conv", {channels, channels}) {}

at::Tensor Upsample::operator()(const at::Tensor& x, int64_t height, int64_t width) const {
  return conv_(at::upsample_nearest2d(x, {height, width}));
}

}  // namespace brume::nn

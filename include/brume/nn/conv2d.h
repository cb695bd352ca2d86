#pragma once
#include <ATen/core/Tensor.h>

#include "brume/weights/weights.h"

namespace brume::nn {

struct ConvShape {
  int64_t in;
  int64_t out;
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 1;
};

/// Two-dimensional convolution with bias. Mirrors torch.nn.Conv2d.
class Conv2d {
 public:
  Conv2d(const WeightsView& weights, const ConvShape& shape);
  /// [N, in, H, W] -> [N, out, H', W']
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  ConvShape shape_;
  at::Tensor weight_;  // [out, in, kernel, kernel]
  at::Tensor bias_;    // [out]
};

}  // namespace brume::nn

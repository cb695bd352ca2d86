#pragma once
#include <ATen/core/Tensor.h>

#include "brume/nn/bias.h"
#include "brume/weights/weights.h"
#include "kernels/packed.h"

namespace brume::nn {

struct ConvShape {
  int64_t in;
  int64_t out;
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 1;
};

/// Two-dimensional convolution. Mirrors torch.nn.Conv2d.
class Conv2d {
 public:
  Conv2d(const WeightsView& weights, const ConvShape& shape, Bias bias = Bias::kYes);
  /// [N, in, H, W] -> [N, out, H', W'], channels last
  at::Tensor operator()(const at::Tensor& x) const { return convolution_(x); }
  /// The same, and its negative values 0.
  at::Tensor relu(const at::Tensor& x) const { return convolution_.relu(x); }
  /// sum += the convolution of x. sum [N, out, H', W'], channels last
  void add_to(at::Tensor& sum, const at::Tensor& x) const { convolution_.add_to(sum, x); }
  /// The same, and the sum's negative values 0.
  void add_relu_to(at::Tensor& sum, const at::Tensor& x) const { convolution_.add_relu_to(sum, x); }

 private:
  kernels::PackedConvolution convolution_;
};

}  // namespace brume::nn

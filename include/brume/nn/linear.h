#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "brume/nn/bias.h"
#include "brume/weights/weights.h"
#include "kernels/packed.h"

namespace brume::nn {

/// y = x W^T + b. Mirrors torch.nn.Linear.
class Linear {
 public:
  Linear(const WeightsView& weights, int64_t in, int64_t out, Bias bias = Bias::kYes);
  /// A 1x1 convolution stored as [out, in, 1, 1]: a linear layer of every pixel.
  static Linear from_conv(const WeightsView& weights, int64_t in, int64_t out);
  /// Layers of one input, below `weights` by their names, in one product: [..., in] -> [..., names x out].
  static Linear stacked(const WeightsView& weights, const std::vector<std::string_view>& names, int64_t in,
                        int64_t out, Bias bias);
  /// [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const { return product_(x); }
  /// y + other. other [..., out]
  at::Tensor plus(const at::Tensor& x, const at::Tensor& other) const { return product_.plus(x, other); }

 private:
  explicit Linear(kernels::PackedLinear product);
  kernels::PackedLinear product_;
};

/// Linear to twice the width, the first half multiplied by the GELU of the second ("GLU Variants Improve
/// Transformer", Shazeer 2020). Mirrors diffusers.models.activations.GEGLU.
class GatedLinear {
 public:
  GatedLinear(const WeightsView& weights, int64_t in, int64_t out);
  /// [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const { return product_(x); }

 private:
  kernels::PackedGatedLinear product_;
};

}  // namespace brume::nn

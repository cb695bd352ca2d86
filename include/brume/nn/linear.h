#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "brume/weights/weights.h"

namespace brume::nn {

enum class Bias { kYes, kNo };

/// y = x W^T + b. Mirrors torch.nn.Linear.
class Linear {
 public:
  Linear(const WeightsView& weights, int64_t in, int64_t out, Bias bias = Bias::kYes);
  /// A 1x1 convolution stored as [out, in, 1, 1]: a linear layer of every pixel.
  static Linear from_conv(const WeightsView& weights, int64_t in, int64_t out);
  /// [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Linear(at::Tensor weight, at::Tensor bias);
  at::Tensor weight_;               // [out, in]
  std::optional<at::Tensor> bias_;  // [out]
};

}  // namespace brume::nn

#pragma once
#include <ATen/core/Tensor.h>

#include "brume/weights/weights.h"
#include "kernels/group_norm.h"
#include "kernels/layer_norm.h"

namespace brume::nn {

/// Normalises the last dimension. Mirrors torch.nn.LayerNorm.
class LayerNorm {
 public:
  LayerNorm(const WeightsView& weights, int64_t width, double eps = 1e-5);
  /// [..., width] -> [..., width]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor weight_;  // [width]
  at::Tensor bias_;    // [width]
  double eps_;
};

/// Group normalisation and the activation that follows it. Mirrors torch.nn.GroupNorm (+ torch.nn.SiLU).
class GroupNorm {
 public:
  GroupNorm(const WeightsView& weights, int64_t channels, const kernels::GroupNormSettings& settings);
  /// [N, channels, H, W], in one part or two -> the same in one, channels last
  at::Tensor operator()(const kernels::MapParts& x) const;
  /// The norm of x + embedding [N, channels].
  at::Tensor operator()(const kernels::MapParts& x, const at::Tensor& embedding) const;

 private:
  at::Tensor weight_;  // [channels]
  at::Tensor bias_;    // [channels]
  kernels::GroupNormSettings settings_;
};

}  // namespace brume::nn

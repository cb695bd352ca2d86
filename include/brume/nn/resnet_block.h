#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "brume/nn/conv2d.h"
#include "brume/nn/linear.h"
#include "brume/nn/norm.h"
#include "brume/weights/weights.h"

namespace brume::nn {

struct ResnetShape {
  int64_t in;
  int64_t out;
  std::optional<int64_t> time_width;  // of the time embedding; none in an autoencoder
  int64_t norm_groups;
  double norm_eps;
  double output_scale = 1;  // the sum is divided by it
};

/// Two convolutions, each after a group norm and a SiLU, added to the input; the time embedding is added
/// between them. Mirrors diffusers.models.resnet.ResnetBlock2D with time_embedding_norm="default".
class ResnetBlock {
 public:
  ResnetBlock(const WeightsView& weights, const ResnetShape& shape);
  /// x [N, in, H, W], time [N, time_width] after its SiLU (undefined where there is none) -> [N, out, H, W]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& time = {}) const;

 private:
  double output_scale_;
  GroupNorm norm1_;
  Conv2d conv1_;
  std::optional<Linear> time_projection_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Conv2d> shortcut_;
};

}  // namespace brume::nn

#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "brume/nn/conv2d.h"
#include "brume/nn/norm.h"
#include "brume/nn/time_projections.h"
#include "brume/weights/weights.h"

namespace brume::nn {

struct ResnetShape {
  int64_t in;  // of all parts
  int64_t out;
  int64_t norm_groups;
  double norm_eps;
  double output_scale = 1;  // the sum is divided by it
  int64_t joined = 0;       // channels of the second part, where the input comes in two
};

/// The 1x1 convolution past a block whose input has other channels than its output. Where the input comes in
/// two parts, so does the convolution: its sum is that over the concatenation.
class Shortcut {
 public:
  Shortcut(const WeightsView& weights, const ResnetShape& shape);
  /// [N, in, H, W] -> [N, out, H, W]
  at::Tensor operator()(const kernels::MapParts& x) const;

 private:
  /// weight [out, in], whose last `joined` columns are the second part's
  Shortcut(const at::Tensor& weight, const at::Tensor& bias, int64_t joined, const HostCopy& host_copy);

  kernels::PackedLinear first_;
  std::optional<kernels::PackedLinear> second_;
};

/// Two convolutions, each after a group norm and a SiLU, added to the input; the time embedding is added
/// between them. Mirrors diffusers.models.resnet.ResnetBlock2D with time_embedding_norm="default".
class ResnetBlock {
 public:
  /// One that adds no time embedding, as an autoencoder's.
  ResnetBlock(const WeightsView& weights, const ResnetShape& shape);
  /// One whose projection of the time embedding is among `times`.
  ResnetBlock(const WeightsView& weights, const ResnetShape& shape, TimeProjections& times);
  /// x [N, in, H, W] in one part or two, times: what those projections give (undefined where it adds none)
  /// -> [N, out, H, W]
  at::Tensor operator()(const kernels::MapParts& x, const at::Tensor& times = {}) const;

 private:
  double output_scale_;
  GroupNorm norm1_;
  Conv2d conv1_;
  std::optional<TimeColumns> time_;
  GroupNorm norm2_;
  Conv2d conv2_;
  std::optional<Shortcut> shortcut_;
};

}  // namespace brume::nn

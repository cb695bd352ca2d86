#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/map_parts.h"

namespace brume::kernels {

enum class Activation { kNone, kSilu };

struct GroupNormSettings {
  int64_t groups;
  double eps;
  Activation activation;
};

struct GroupNormInput {
  MapParts maps;              // [N, C, H, W] in one part or two
  at::Tensor embedding = {};  // [N, C], added to every pixel before the norm; undefined: nothing is
};

/// Group normalisation ("Group Normalization", Wu and He 2018), then the activation:
/// act((x - mean) / sqrt(variance + eps) * weight + bias), mean and variance over each group of channels of
/// each picture, accumulated in fp32 or better. Weight and bias [C]; gives one map, channels last.
/// Throws std::invalid_argument where C does not divide into the groups or the shapes do not fit.
at::Tensor group_norm(const GroupNormInput& input, const at::Tensor& weight, const at::Tensor& bias,
                      const GroupNormSettings& settings);

}  // namespace brume::kernels

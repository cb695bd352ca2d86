#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

enum class Activation { kNone, kSilu };

struct GroupNormSettings {
  int64_t groups;
  double eps;
  Activation activation;
};

/// Group normalisation ("Group Normalization", Wu and He 2018), then the activation:
/// act((x - mean) / sqrt(variance + eps) * weight + bias), mean and variance over each group of channels of
/// each picture, accumulated in fp32 or better. x [N, C, ...], weight and bias [C]; gives a tensor like x.
/// Throws std::invalid_argument where C does not divide into the groups or the shapes do not fit.
at::Tensor group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      const GroupNormSettings& settings);

}  // namespace brume::kernels

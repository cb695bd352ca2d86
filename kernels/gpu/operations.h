#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "kernels/group_norm.h"
#include "kernels/timestep_embedding.h"

// The operations on tensors of a GPU. They are called through libtorch's dispatcher, as "brume::attention"
// and so on: the plug-in (registration.cpp) puts the bodies there when it is loaded, and there is no such
// tensor before. The desks of kernels/ have checked what comes here.
namespace brume::kernels::gpu {

/// As kernels::attention.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal);
/// As kernels::group_norm.
at::Tensor group_norm(const GroupNormInput& input, const at::Tensor& weight, const at::Tensor& bias,
                      const GroupNormSettings& settings);
/// As kernels::layer_norm.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);
/// x [..., 2 width] -> [..., width]: the first half times the GELU of the second.
at::Tensor geglu(const at::Tensor& x);
/// As kernels::sinusoidal_embedding.
at::Tensor sinusoidal_embedding(const at::Tensor& values, const SinusoidShape& shape);

struct Convolution {
  int64_t stride;
  int64_t padding;
  bool relu;
};
/// The convolution of x [N, C, H, W], plus bias [K], plus `residual` [N, K, H', W'], rounded once where the
/// dtype is a half; weight [K, C, k, k], channels last -> [N, K, H', W'], channels last.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       const std::optional<at::Tensor>& residual, const Convolution& convolution);
/// x W^T + bias + residual, the same way: x [..., in], weight [out, in], residual [..., out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                  const std::optional<at::Tensor>& residual);

}  // namespace brume::kernels::gpu

#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/attention.h"
#include "kernels/group_norm.h"

// Our operations as plain float64 formulas.
namespace brume::kernels {

/// softmax(q k^T / sqrt(d)) v, written out. q [N, Tq, heads, d], k and v [N, Tk, heads, d].
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           AttentionMask mask = AttentionMask::kNone);

/// x [N, C, H, W], weight and bias [C].
at::Tensor plain_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            const GroupNormSettings& settings);

/// x [..., D], weight and bias [D].
at::Tensor plain_layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            double eps);

}  // namespace brume::kernels

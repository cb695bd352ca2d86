#pragma once
#include <ATen/core/Tensor.h>

#include "brume/nn/linear.h"
#include "brume/weights/weights.h"

namespace brume::nn {

struct AttentionShape {
  int64_t width;          // of the queries and the result
  int64_t context_width;  // of the keys and values
  int64_t heads;          // divides width
};

/// Multi-head attention of `x` over itself. Mirrors diffusers.models.attention_processor.Attention (to_q,
/// to_k, to_v, to_out.0).
class SelfAttention {
 public:
  SelfAttention(const WeightsView& weights, int64_t width, int64_t heads, Bias qkv_bias = Bias::kNo);
  /// Attention of x, added to `residual`. Both [N, T, width] -> [N, T, width]
  at::Tensor plus(const at::Tensor& x, const at::Tensor& residual) const;

 private:
  int64_t heads_;
  Linear to_qkv_;
  Linear to_out_;
};

/// The same over the words of a prompt. Mirrors the same class.
class CrossAttention {
 public:
  CrossAttention(const WeightsView& weights, const AttentionShape& shape);
  /// Attention of x [N, T, width] over context [N, S, context_width], added to `residual` [N, T, width].
  at::Tensor plus(const at::Tensor& x, const at::Tensor& context, const at::Tensor& residual) const;

 private:
  int64_t heads_;
  Linear to_q_;
  Linear to_kv_;
  Linear to_out_;
};

}  // namespace brume::nn

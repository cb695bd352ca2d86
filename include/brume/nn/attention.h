#pragma once
#include <ATen/core/Tensor.h>

#include "brume/nn/linear.h"
#include "brume/weights/weights.h"

namespace brume::nn {

struct AttentionShape {
  int64_t width;          // of the queries and the result
  int64_t context_width;  // of the keys and values
  int64_t heads;          // divides width
  Bias qkv_bias = Bias::kNo;
};

/// Multi-head attention of `x` over `context`; self-attention where they are the same tensor.
/// Mirrors diffusers.models.attention_processor.Attention (to_q, to_k, to_v, to_out.0).
class Attention {
 public:
  Attention(const WeightsView& weights, const AttentionShape& shape);
  /// x [N, T, width], context [N, S, context_width] -> [N, T, width]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context) const;

 private:
  at::Tensor split_heads(const at::Tensor& x) const;

  int64_t heads_;
  Linear to_q_;
  Linear to_k_;
  Linear to_v_;
  Linear to_out_;
};

}  // namespace brume::nn

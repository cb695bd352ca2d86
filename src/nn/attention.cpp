#include "brume/nn/attention.h"

#include <ATen/ATen.h>

#include "kernels/attention.h"

namespace brume::nn {

Attention::Attention(const WeightsView& weights, const AttentionShape& shape)
    : heads_(shape.heads),
      to_q_(weights / "to_q", shape.width, shape.width, shape.qkv_bias),
      to_k_(weights / "to_k", shape.context_width, shape.width, shape.qkv_bias),
      to_v_(weights / "to_v", shape.context_width, shape.width, shape.qkv_bias),
      to_out_(weights / "to_out.0", shape.width, shape.width) {}

at::Tensor Attention::operator()(const at::Tensor& x, const at::Tensor& context) const {
  const at::Tensor q = split_heads(to_q_(x));
  const at::Tensor k = split_heads(to_k_(context));
  const at::Tensor v = split_heads(to_v_(context));
  return to_out_(kernels::attention(q, k, v));
}

at::Tensor Attention::split_heads(const at::Tensor& x) const {
  return x.view({x.size(0), x.size(1), heads_, x.size(2) / heads_});  // [N, T, heads, head_dim]
}

}  // namespace brume::nn

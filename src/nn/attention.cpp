#include "brume/nn/attention.h"

#include <ATen/ATen.h>

#include "kernels/attention.h"

namespace brume::nn {

namespace {

/// [N, T, count width] -> `count` tensors [N, T, heads, head_dim] that share its memory.
std::vector<at::Tensor> by_head(const at::Tensor& x, int64_t count, int64_t heads) {
  return x.view({x.size(0), x.size(1), count, heads, x.size(2) / count / heads}).unbind(2);
}

}  // namespace

SelfAttention::SelfAttention(const WeightsView& weights, int64_t width, int64_t heads, Bias qkv_bias)
    : heads_(heads),
      to_qkv_(Linear::stacked(weights, {"to_q", "to_k", "to_v"}, width, width, qkv_bias)),
      to_out_(weights / "to_out.0", width, width) {}

at::Tensor SelfAttention::plus(const at::Tensor& x, const at::Tensor& residual) const {
  const std::vector<at::Tensor> qkv = by_head(to_qkv_(x), 3, heads_);
  return to_out_.plus(kernels::attention(qkv[0], qkv[1], qkv[2]), residual);
}

CrossAttention::CrossAttention(const WeightsView& weights, const AttentionShape& shape)
    : heads_(shape.heads),
      to_q_(weights / "to_q", shape.width, shape.width, Bias::kNo),
      to_kv_(Linear::stacked(weights, {"to_k", "to_v"}, shape.context_width, shape.width, Bias::kNo)),
      to_out_(weights / "to_out.0", shape.width, shape.width) {}

at::Tensor CrossAttention::plus(const at::Tensor& x, const at::Tensor& prepared,
                                const at::Tensor& residual) const {
  const std::vector<at::Tensor> q = by_head(to_q_(x), 1, heads_);
  const std::vector<at::Tensor> kv = by_head(prepared, 2, heads_);
  return to_out_.plus(kernels::attention(q[0], kv[0], kv[1]), residual);
}

}  // namespace brume::nn

#include "brume/nn/transformer_block.h"

#include <ATen/ATen.h>

#include "kernels/geglu.h"

namespace brume::nn {

namespace {

constexpr int64_t kExpansion = 4;

AttentionShape first_shape(AttentionShape shape, FirstAttention first) {
  if (first == FirstAttention::kSelf) shape.context_width = shape.width;
  return shape;
}

}  // namespace

FeedForward::FeedForward(const WeightsView& weights, int64_t width)
    : in_(weights / "net.0.proj", width, 2 * kExpansion * width),
      out_(weights / "net.2", kExpansion * width, width) {}

at::Tensor FeedForward::operator()(const at::Tensor& x) const {
  return out_(kernels::geglu(in_(x)));  // [N, T, 8 width] -> [N, T, 4 width]
}

TransformerBlock::TransformerBlock(const WeightsView& weights, const AttentionShape& shape,
                                   FirstAttention first)
    : first_(first),
      norm1_(weights / "norm1", shape.width),
      attention1_(weights / "attn1", first_shape(shape, first)),
      norm2_(weights / "norm2", shape.width),
      attention2_(weights / "attn2", shape),
      norm3_(weights / "norm3", shape.width),
      feed_forward_(weights / "ff", shape.width) {}

at::Tensor TransformerBlock::operator()(const at::Tensor& x, const at::Tensor& context) const {
  const at::Tensor normed = norm1_(x);
  const at::Tensor first = attention1_(normed, first_ == FirstAttention::kSelf ? normed : context);
  const auto [after_first, norm2] = norm2_.of_sum(x, first);
  const auto [after_second, norm3] = norm3_.of_sum(after_first, attention2_(norm2, context));
  return after_second + feed_forward_(norm3);
}

}  // namespace brume::nn

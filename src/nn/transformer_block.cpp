#include "brume/nn/transformer_block.h"

#include <ATen/ATen.h>

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
  const std::vector<at::Tensor> halves = in_(x).chunk(2, -1);  // value, gate: [N, T, 4 width] each
  return out_(halves[0] * at::gelu(halves[1]));
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
  at::Tensor y = x + attention1_(normed, first_ == FirstAttention::kSelf ? normed : context);
  y += attention2_(norm2_(y), context);
  y += feed_forward_(norm3_(y));
  return y;
}

}  // namespace brume::nn

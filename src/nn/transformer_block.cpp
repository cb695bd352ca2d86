#include "brume/nn/transformer_block.h"

#include <ATen/ATen.h>

namespace brume::nn {

namespace {

constexpr int64_t kExpansion = 4;

std::variant<SelfAttention, CrossAttention> first_attention(const WeightsView& weights,
                                                            const AttentionShape& shape,
                                                            FirstAttention first) {
  if (first == FirstAttention::kSelf) return SelfAttention(weights, shape.width, shape.heads);
  return CrossAttention(weights, shape);
}

}  // namespace

FeedForward::FeedForward(const WeightsView& weights, int64_t width)
    : in_(weights / "net.0.proj", width, kExpansion * width),
      out_(weights / "net.2", kExpansion * width, width) {}

at::Tensor FeedForward::plus(const at::Tensor& x, const at::Tensor& residual) const {
  return out_.plus(in_(x), residual);  // [N, T, width] -> [N, T, 4 width] -> [N, T, width]
}

TransformerBlock::TransformerBlock(const WeightsView& weights, const AttentionShape& shape,
                                   FirstAttention first)
    : norm1_(weights / "norm1", shape.width),
      attention1_(first_attention(weights / "attn1", shape, first)),
      norm2_(weights / "norm2", shape.width),
      attention2_(weights / "attn2", shape),
      norm3_(weights / "norm3", shape.width),
      feed_forward_(weights / "ff", shape.width) {}

void TransformerBlock::prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const {
  if (const auto* cross = std::get_if<CrossAttention>(&attention1_))
    prepared.push_back(cross->prepare(context));
  prepared.push_back(attention2_.prepare(context));
}

at::Tensor TransformerBlock::operator()(const at::Tensor& x, PreparedReader& words, LoneTokens& lone) const {
  const auto* self = std::get_if<SelfAttention>(&attention1_);
  const at::Tensor first = self != nullptr
                               ? self->plus(norm1_(x), x, lone.next())
                               : std::get<CrossAttention>(attention1_).plus(norm1_(x), words.next(), x);
  const at::Tensor second = attention2_.plus(norm2_(first), words.next(), first);
  return feed_forward_.plus(norm3_(second), second);
}

}  // namespace brume::nn

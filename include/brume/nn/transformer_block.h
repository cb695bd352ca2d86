#pragma once
#include <ATen/core/Tensor.h>

#include <variant>
#include <vector>

#include "brume/nn/attention.h"
#include "brume/nn/linear.h"
#include "brume/nn/norm.h"
#include "brume/weights/weights.h"

namespace brume::nn {

/// A gated layer to four times the width, and back. Mirrors diffusers.models.attention.FeedForward with
/// activation_fn="geglu".
class FeedForward {
 public:
  FeedForward(const WeightsView& weights, int64_t width);
  /// What comes out for x, added to `residual`. Both [N, T, width]
  at::Tensor plus(const at::Tensor& x, const at::Tensor& residual) const;

 private:
  GatedLinear in_;
  Linear out_;
};

/// What the first attention of a block looks at: the picture itself, or the words, as the second one does.
enum class FirstAttention { kSelf, kCross };

/// Self-attention, cross-attention over the words and a feed-forward, each on a normalised input and added to
/// its own. Mirrors diffusers.models.attention.BasicTransformerBlock with norm_type="layer_norm".
class TransformerBlock {
 public:
  /// `shape.context_width` is that of the words.
  TransformerBlock(const WeightsView& weights, const AttentionShape& shape,
                   FirstAttention first = FirstAttention::kSelf);
  /// Appends what its cross-attentions read of the words. context [N, S, context_width]
  void prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const;
  /// x [N, T, width] -> [N, T, width]; takes what it prepared from `words`.
  at::Tensor operator()(const at::Tensor& x, PreparedReader& words, LoneTokens& lone) const;

 private:
  LayerNorm norm1_;
  std::variant<SelfAttention, CrossAttention> attention1_;
  LayerNorm norm2_;
  CrossAttention attention2_;
  LayerNorm norm3_;
  FeedForward feed_forward_;
};

}  // namespace brume::nn

#pragma once
#include <ATen/core/Tensor.h>

#include "brume/nn/attention.h"
#include "brume/nn/linear.h"
#include "brume/nn/norm.h"
#include "brume/weights/weights.h"

namespace brume::nn {

/// Linear to twice 4 x width, one half gated by the GELU of the other, and back ("GLU Variants Improve
/// Transformer"). Mirrors diffusers.models.attention.FeedForward with activation_fn="geglu".
class FeedForward {
 public:
  FeedForward(const WeightsView& weights, int64_t width);
  /// [N, T, width] -> [N, T, width]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Linear in_;
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
  /// x [N, T, width], context [N, S, context_width] -> [N, T, width]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context) const;

 private:
  FirstAttention first_;
  LayerNorm norm1_;
  Attention attention1_;
  LayerNorm norm2_;
  Attention attention2_;
  LayerNorm norm3_;
  FeedForward feed_forward_;
};

}  // namespace brume::nn

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

/// Self-attention, cross-attention over the words and a feed-forward, each on a normalised input and added to
/// its own. Mirrors diffusers.models.attention.BasicTransformerBlock with norm_type="layer_norm".
class TransformerBlock {
 public:
  /// `shape.context_width` is that of the words.
  TransformerBlock(const WeightsView& weights, const AttentionShape& shape);
  /// x [N, T, width], context [N, S, context_width] -> [N, T, width]
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& context) const;

 private:
  LayerNorm norm1_;
  Attention self_attention_;
  LayerNorm norm2_;
  Attention cross_attention_;
  LayerNorm norm3_;
  FeedForward feed_forward_;
};

}  // namespace brume::nn

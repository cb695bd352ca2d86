#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brume/nn/conv2d.h"
#include "brume/nn/linear.h"
#include "brume/nn/norm.h"
#include "brume/nn/transformer_block.h"
#include "brume/weights/weights.h"

namespace brume::nn {

enum class Projection { kConv, kLinear };

struct SpatialTransformerShape {
  int64_t channels;
  int64_t context_width;
  int64_t heads;
  int64_t depth;  // transformer blocks
  int64_t norm_groups;
  Projection projection;
  FirstAttention first = FirstAttention::kSelf;
};

/// Transformer blocks over the pixels of a map, added to the map. Mirrors
/// diffusers.models.transformers.Transformer2DModel for continuous input. Linear projections are computed as
/// such whichever way the weights are stored: a 1x1 convolution of a map is a linear layer of its pixels.
class SpatialTransformer {
 public:
  SpatialTransformer(const WeightsView& weights, const SpatialTransformerShape& shape);
  /// Appends what its blocks read of the words. context [N, S, context_width]
  void prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const;
  /// x [N, C, H, W] -> [N, C, H, W]; takes what it prepared from `words`.
  at::Tensor operator()(const at::Tensor& x, PreparedReader& words, LoneTokens& lone) const;

 private:
  GroupNorm norm_;
  Linear project_in_;
  std::vector<TransformerBlock> blocks_;
  Linear project_out_;
};

}  // namespace brume::nn

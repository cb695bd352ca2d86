#include "brume/nn/spatial_transformer.h"

#include <ATen/ATen.h>

#include "brume/nn/pixels.h"

namespace brume::nn {

namespace {

constexpr double kNormEps = 1e-6;

Linear projection(const WeightsView& weights, int64_t channels, Projection kind) {
  return kind == Projection::kConv ? Linear::from_conv(weights, channels, channels)
                                   : Linear(weights, channels, channels);
}

}  // namespace

SpatialTransformer::SpatialTransformer(const WeightsView& weights, const SpatialTransformerShape& shape)
    : norm_(weights / "norm", shape.channels, {shape.norm_groups, kNormEps, kernels::Activation::kNone}),
      project_in_(projection(weights / "proj_in", shape.channels, shape.projection)),
      project_out_(projection(weights / "proj_out", shape.channels, shape.projection)) {
  const WeightsView blocks = weights / "transformer_blocks";
  for (int64_t i = 0; i < shape.depth; ++i) {
    blocks_.emplace_back(blocks / static_cast<size_t>(i),
                         AttentionShape{shape.channels, shape.context_width, shape.heads}, shape.first);
  }
}

void SpatialTransformer::prepare(const at::Tensor& context, std::vector<at::Tensor>& prepared) const {
  for (const TransformerBlock& block : blocks_) block.prepare(context, prepared);
}

at::Tensor SpatialTransformer::operator()(const at::Tensor& x, PreparedReader& words,
                                          LoneTokens& lone) const {
  at::Tensor tokens = project_in_(pixels_of(norm_(x)));  // [N, H W, C]
  for (const TransformerBlock& block : blocks_) tokens = block(tokens, words, lone);
  return map_of(project_out_.plus(tokens, pixels_of(x)), x.size(2), x.size(3));  // [N, C, H, W]
}

}  // namespace brume::nn

#include "brume/nn/resnet_block.h"

#include <ATen/ATen.h>

namespace brume::nn {

ResnetBlock::ResnetBlock(const WeightsView& weights, const ResnetShape& shape)
    : output_scale_(shape.output_scale),
      norm1_(weights / "norm1", shape.in, {shape.norm_groups, shape.norm_eps, kernels::Activation::kSilu}),
      conv1_(weights / "conv1", {shape.in, shape.out}),
      norm2_(weights / "norm2", shape.out, {shape.norm_groups, shape.norm_eps, kernels::Activation::kSilu}),
      conv2_(weights / "conv2", {shape.out, shape.out}) {
  if (shape.time_width) time_projection_.emplace(weights / "time_emb_proj", *shape.time_width, shape.out);
  if (shape.in != shape.out) {
    shortcut_.emplace(weights / "conv_shortcut",
                      ConvShape{shape.in, shape.out, /*kernel=*/1, /*stride=*/1, /*padding=*/0});
  }
}

at::Tensor ResnetBlock::operator()(const at::Tensor& x, const at::Tensor& time) const {
  at::Tensor h = conv1_(norm1_(x));  // [N, out, H, W]
  if (time_projection_) h += (*time_projection_)(time).unsqueeze(-1).unsqueeze(-1);
  h = conv2_(norm2_(h));
  h += shortcut_ ? (*shortcut_)(x) : x;
  return output_scale_ == 1 ? h : h.div_(output_scale_);
}

}  // namespace brume::nn

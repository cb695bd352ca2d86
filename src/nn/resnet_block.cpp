#include "brume/nn/resnet_block.h"

#include <ATen/ATen.h>

#include "brume/nn/pixels.h"

namespace brume::nn {

namespace {

/// What can be added to: what comes in belongs to others.
at::Tensor own(const kernels::MapParts& x) {
  if (!x.second.defined() && !kernels::sums_in_place(x.first)) return x.first;
  return x.second.defined() ? at::cat({x.first, x.second}, 1) : x.first.clone(at::MemoryFormat::ChannelsLast);
}

}  // namespace

Shortcut::Shortcut(const WeightsView& weights, const ResnetShape& shape)
    : Shortcut(weights.tensor("weight", {shape.out, shape.in, 1, 1}).view({shape.out, shape.in}),
               weights.tensor("bias", {shape.out}), shape.joined, weights.host_copy()) {}

Shortcut::Shortcut(const at::Tensor& weight, const at::Tensor& bias, int64_t joined,
                   const HostCopy& host_copy)
    : first_(weight.narrow(1, 0, weight.size(1) - joined), bias, host_copy) {
  if (joined > 0) second_.emplace(weight.narrow(1, weight.size(1) - joined, joined), std::nullopt, host_copy);
}

at::Tensor Shortcut::operator()(const kernels::MapParts& x) const {
  at::Tensor sum = first_(pixels_of(x.first));
  if (second_) sum = second_->plus(pixels_of(x.second), sum);
  return map_of(sum, x.first.size(2), x.first.size(3));
}

ResnetBlock::ResnetBlock(const WeightsView& weights, const ResnetShape& shape)
    : output_scale_(shape.output_scale),
      norm1_(weights / "norm1", shape.in, {shape.norm_groups, shape.norm_eps, kernels::Activation::kSilu}),
      conv1_(weights / "conv1", {shape.in, shape.out}),
      norm2_(weights / "norm2", shape.out, {shape.norm_groups, shape.norm_eps, kernels::Activation::kSilu}),
      conv2_(weights / "conv2", {shape.out, shape.out}) {
  if (shape.in != shape.out) shortcut_.emplace(weights / "conv_shortcut", shape);
}

ResnetBlock::ResnetBlock(const WeightsView& weights, const ResnetShape& shape, TimeProjections& times)
    : ResnetBlock(weights, shape) {
  time_ = times.add(weights / "time_emb_proj", shape.out);
}

at::Tensor ResnetBlock::operator()(const kernels::MapParts& x, const at::Tensor& times) const {
  const at::Tensor embedding = time_ ? time_->of(times) : at::Tensor();  // [N, out]
  at::Tensor h = norm1_(x);  // each map is let go of when the next one is there
  h = conv1_(h);             // [N, out, H, W]
  h = norm2_(h, embedding);
  at::Tensor sum = shortcut_ ? (*shortcut_)(x) : own(x);
  conv2_.add_to(sum, h);
  return output_scale_ == 1 ? sum : sum.div_(output_scale_);
}

}  // namespace brume::nn

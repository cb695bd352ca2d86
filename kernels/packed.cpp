#include "kernels/packed.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <utility>

#include "kernels/convolution_layouts.h"
#include "kernels/gpu/operations.h"
#include "kernels/onednn.h"

namespace brume::kernels {

namespace {

/// What a profile counts a convolution's work from.
std::vector<c10::IValue> recorded(const at::Tensor& x, const at::Tensor& weight, int64_t stride) {
  return {x, weight, stride};
}
std::vector<c10::IValue> recorded(const at::Tensor& x, const at::Tensor& weight) { return {x, weight}; }

/// cuDNN's fast kernels take channels by so many.
constexpr int64_t kGpuChannels = 8;

int64_t padded(int64_t channels) { return (channels + kGpuChannels - 1) / kGpuChannels * kGpuChannels; }

/// weight [out, in, k, k] as the library that computes with it reads it where that is not oneDNN; on a GPU
/// with channels of zeros, which neither come from the map nor go into it.
at::Tensor as_read(const at::Tensor& weight) {
  if (!weight.is_cuda()) return weight;
  const int64_t out = padded(weight.size(0)) - weight.size(0);
  const int64_t in = padded(weight.size(1)) - weight.size(1);
  const at::Tensor whole = out + in > 0 ? at::constant_pad_nd(weight, {0, 0, 0, 0, 0, in, 0, out})
                                        : weight;  // which else is a copy
  return whole.contiguous(at::MemoryFormat::ChannelsLast);
}

/// bias [out] for the same.
std::optional<at::Tensor> as_read(const std::optional<at::Tensor>& bias) {
  if (!bias || !bias->is_cuda()) return bias;
  return at::constant_pad_nd(*bias, {0, padded(bias->size(0)) - bias->size(0)});
}

/// A map [N, C, H, W] with channels of zeros.
at::Tensor with_padded_channels(const at::Tensor& map) {
  const int64_t more = padded(map.size(1)) - map.size(1);
  return more == 0 ? map : at::constant_pad_nd(map, {0, 0, 0, 0, 0, more});
}

/// A weight that is kept elsewhere, in memory that is its own, where `x` is. It waits for nothing.
at::Tensor fetched(const at::Tensor& weight, const at::Tensor& x) {
  return weight.to(x.device(), weight.scalar_type(), /*non_blocking=*/true, /*copy=*/true);
}

/// One half of a layer that is twice as wide.
PackedLinear half(const at::Tensor& weight, const at::Tensor& bias, size_t index, const HostCopy& host_copy) {
  return {weight.chunk(2)[index], bias.chunk(2)[index].clone(), host_copy};
}

}  // namespace

PackedConvolution::PackedConvolution(const at::Tensor& weight, std::optional<at::Tensor> bias, Shape shape,
                                     const HostCopy& host_copy)
    : bias_(std::move(bias)), channels_(weight.size(0)), shape_(shape), streamed_(host_copy != nullptr) {
  if (streamed_) {
    weight_ = host_copy(weight.contiguous(at::MemoryFormat::ChannelsLast));  // as a GPU reads it
  } else if (onednn::can_pack(weight)) {
    layouts_ = std::make_shared<ConvolutionLayouts>(weight, onednn::Geometry{shape.stride, shape.padding});
  } else {
    weight_ = as_read(weight);
    bias_ = as_read(bias_);
  }
}

/// The same layer with its weight where x is, for one call.
PackedConvolution PackedConvolution::beside(const at::Tensor& x) const {
  return {fetched(weight_, x), bias_, shape_};
}

at::Tensor PackedConvolution::packed_product(const at::Tensor& x, onednn::Activation activation) const {
  const at::Tensor map = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = layouts_->for_map(map);
  RECORD_FUNCTION("brume::convolution", recorded(map, weight, shape_.stride));
  return onednn::convolution(map, weight, bias_, {shape_.stride, shape_.padding}, activation);
}

void PackedConvolution::add_packed_product(at::Tensor& sum, const at::Tensor& x,
                                           onednn::Activation activation) const {
  const at::Tensor map = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = layouts_->for_map(map);
  RECORD_FUNCTION("brume::convolution", recorded(map, weight, shape_.stride));
  onednn::add_convolution(sum, map, weight, bias_, {shape_.stride, shape_.padding}, activation);
}

at::Tensor PackedConvolution::plain_product(const at::Tensor& x) const {
  const at::Tensor map = x.contiguous(at::MemoryFormat::ChannelsLast);
  RECORD_FUNCTION("brume::convolution", recorded(map, weight_, shape_.stride));
  return at::conv2d(map, weight_, bias_, {shape_.stride, shape_.stride}, {shape_.padding, shape_.padding});
}

at::Tensor PackedConvolution::gpu_product(const at::Tensor& x, const std::optional<at::Tensor>& sum,
                                          bool relu) const {
  RECORD_FUNCTION("brume::convolution", recorded(x, weight_, shape_.stride));
  const std::optional<at::Tensor> added = sum ? std::optional(with_padded_channels(*sum)) : std::nullopt;
  const at::Tensor y =
      gpu::convolution(with_padded_channels(x), weight_, bias_, added, {shape_.stride, shape_.padding, relu});
  return y.size(1) == channels_ ? y : y.narrow(1, 0, channels_);
}

at::Tensor PackedConvolution::operator()(const at::Tensor& x) const {
  if (streamed_) return beside(x)(x);
  if (x.is_cuda()) return gpu_product(x, {}, /*relu=*/false);
  return layouts_ ? packed_product(x, onednn::Activation::kNone) : plain_product(x);
}

at::Tensor PackedConvolution::relu(const at::Tensor& x) const {
  if (streamed_) return beside(x).relu(x);
  if (x.is_cuda()) return gpu_product(x, {}, /*relu=*/true);
  return layouts_ ? packed_product(x, onednn::Activation::kRelu) : plain_product(x).relu_();
}

void PackedConvolution::add_to(at::Tensor& sum, const at::Tensor& x) const {
  if (streamed_) {
    beside(x).add_to(sum, x);
  } else if (x.is_cuda()) {
    sum = gpu_product(x, sum, /*relu=*/false);
  } else if (layouts_) {
    add_packed_product(sum, x, onednn::Activation::kNone);
  } else {
    sum += plain_product(x);
  }
}

void PackedConvolution::add_relu_to(at::Tensor& sum, const at::Tensor& x) const {
  if (streamed_) {
    beside(x).add_relu_to(sum, x);
  } else if (x.is_cuda()) {
    sum = gpu_product(x, sum, /*relu=*/true);
  } else if (layouts_) {
    add_packed_product(sum, x, onednn::Activation::kRelu);
  } else {
    (sum += plain_product(x)).relu_();
  }
}

PackedLinear::PackedLinear(const at::Tensor& weight, std::optional<at::Tensor> bias,
                           const HostCopy& host_copy)
    : bias_(std::move(bias)), streamed_(host_copy != nullptr) {
  if (streamed_) {
    weight_ = host_copy(weight.contiguous());
  } else {
    weight_ = onednn::can_pack(weight) ? onednn::pack_linear(weight) : weight.contiguous();
  }
}

/// The same layer with its weight where x is, for one call.
PackedLinear PackedLinear::beside(const at::Tensor& x) const { return {fetched(weight_, x), bias_}; }

at::Tensor PackedLinear::operator()(const at::Tensor& x) const {
  if (streamed_) return beside(x)(x);
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  if (x.is_cuda()) return gpu::linear(x, weight_, bias_, {});
  return weight_.is_mkldnn() ? onednn::linear(x, weight_, bias_, onednn::Activation::kNone)
                             : at::linear(x, weight_, bias_);
}

at::Tensor PackedLinear::plus(const at::Tensor& x, const at::Tensor& other) const {
  if (streamed_) return beside(x).plus(x, other);
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  if (x.is_cuda()) return gpu::linear(x, weight_, bias_, other);
  return weight_.is_mkldnn() ? onednn::linear_with(x, other, weight_, bias_, onednn::Binary::kAdd)
                             : (*this)(x).add_(other);
}

at::Tensor PackedLinear::gelu(const at::Tensor& x) const {
  if (streamed_) return beside(x).gelu(x);
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  return weight_.is_mkldnn() ? onednn::linear(x, weight_, bias_, onednn::Activation::kGelu)
                             : at::gelu((*this)(x));
}

at::Tensor PackedLinear::times(const at::Tensor& x, const at::Tensor& other) const {
  if (streamed_) return beside(x).times(x, other);
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  return weight_.is_mkldnn() ? onednn::linear_with(x, other, weight_, bias_, onednn::Binary::kMultiply)
                             : (*this)(x).mul_(other);
}

PackedGatedLinear::PackedGatedLinear(const at::Tensor& weight, const at::Tensor& bias,
                                     const HostCopy& host_copy) {
  if (weight.is_cuda()) {
    both_.emplace(weight, bias, host_copy);
  } else {
    value_.emplace(half(weight, bias, 0, host_copy));
    gate_.emplace(half(weight, bias, 1, host_copy));
  }
}

at::Tensor PackedGatedLinear::operator()(const at::Tensor& x) const {
  return both_ ? gpu::geglu((*both_)(x)) : value_->times(x, gate_->gelu(x));
}

}  // namespace brume::kernels

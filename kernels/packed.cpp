#include "kernels/packed.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <utility>

#include "kernels/convolution_layouts.h"
#include "kernels/onednn.h"

namespace brume::kernels {

namespace {

/// What a profile counts a convolution's work from.
std::vector<c10::IValue> recorded(const at::Tensor& x, const at::Tensor& weight, int64_t stride) {
  return {x, weight, stride};
}
std::vector<c10::IValue> recorded(const at::Tensor& x, const at::Tensor& weight) { return {x, weight}; }

}  // namespace

PackedConvolution::PackedConvolution(const at::Tensor& weight, std::optional<at::Tensor> bias, Shape shape)
    : layouts_(onednn::can_pack(weight) ? std::make_shared<ConvolutionLayouts>(
                                              weight, onednn::Geometry{shape.stride, shape.padding})
                                        : nullptr),
      weight_(layouts_ ? at::Tensor() : weight),
      bias_(std::move(bias)),
      shape_(shape) {}

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

at::Tensor PackedConvolution::operator()(const at::Tensor& x) const {
  return layouts_ ? packed_product(x, onednn::Activation::kNone) : plain_product(x);
}

at::Tensor PackedConvolution::relu(const at::Tensor& x) const {
  return layouts_ ? packed_product(x, onednn::Activation::kRelu) : plain_product(x).relu_();
}

void PackedConvolution::add_to(at::Tensor& sum, const at::Tensor& x) const {
  if (layouts_) {
    add_packed_product(sum, x, onednn::Activation::kNone);
  } else {
    sum += plain_product(x);
  }
}

void PackedConvolution::add_relu_to(at::Tensor& sum, const at::Tensor& x) const {
  if (layouts_) {
    add_packed_product(sum, x, onednn::Activation::kRelu);
  } else {
    (sum += plain_product(x)).relu_();
  }
}

PackedLinear::PackedLinear(const at::Tensor& weight, std::optional<at::Tensor> bias)
    : weight_(onednn::can_pack(weight) ? onednn::pack_linear(weight) : weight), bias_(std::move(bias)) {}

at::Tensor PackedLinear::operator()(const at::Tensor& x) const {
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  return weight_.is_mkldnn() ? onednn::linear(x, weight_, bias_, onednn::Activation::kNone)
                             : at::linear(x, weight_, bias_);
}

at::Tensor PackedLinear::plus(const at::Tensor& x, const at::Tensor& other) const {
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  return weight_.is_mkldnn() ? onednn::linear_with(x, other, weight_, bias_, onednn::Binary::kAdd)
                             : (*this)(x).add_(other);
}

at::Tensor PackedLinear::gelu(const at::Tensor& x) const {
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  return weight_.is_mkldnn() ? onednn::linear(x, weight_, bias_, onednn::Activation::kGelu)
                             : at::gelu((*this)(x));
}

at::Tensor PackedLinear::times(const at::Tensor& x, const at::Tensor& other) const {
  RECORD_FUNCTION("brume::linear", recorded(x, weight_));
  return weight_.is_mkldnn() ? onednn::linear_with(x, other, weight_, bias_, onednn::Binary::kMultiply)
                             : (*this)(x).mul_(other);
}

}  // namespace brume::kernels

#include "kernels/packed.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <utility>

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
    : weight_(onednn::can_pack(weight) ? onednn::pack_convolution(weight, {shape.stride, shape.padding})
                                       : weight),
      bias_(std::move(bias)),
      shape_(shape) {}

at::Tensor PackedConvolution::operator()(const at::Tensor& x) const {
  RECORD_FUNCTION("brume::convolution", recorded(x, weight_, shape_.stride));
  const at::Tensor map = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (weight_.is_mkldnn()) return onednn::convolution(map, weight_, bias_, {shape_.stride, shape_.padding});
  return at::conv2d(map, weight_, bias_, {shape_.stride, shape_.stride}, {shape_.padding, shape_.padding});
}

void PackedConvolution::add_to(at::Tensor& sum, const at::Tensor& x) const {
  RECORD_FUNCTION("brume::convolution", recorded(x, weight_, shape_.stride));
  if (weight_.is_mkldnn()) {
    const at::Tensor map = x.contiguous(at::MemoryFormat::ChannelsLast);
    onednn::add_convolution(sum, map, weight_, bias_, {shape_.stride, shape_.padding});
  } else {
    sum += (*this)(x);
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

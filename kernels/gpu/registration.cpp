#include <ATen/ATen.h>
#include <torch/library.h>

#include "kernels/gpu/attention_body.h"
#include "kernels/gpu/call.h"
#include "kernels/gpu/convolution.h"
#include "kernels/gpu/linear.h"
#include "kernels/gpu/norm_bodies.h"
#include "kernels/gpu/small_bodies.h"

namespace brume::kernels::gpu {

namespace {

using OptionalTensor = std::optional<at::Tensor>;

/// In fp32, for those who compare: libtorch's, unfused.
at::Tensor exact_convolution(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                             const OptionalTensor& residual, int64_t stride, int64_t padding, bool relu) {
  at::Tensor y = at::conv2d(x, weight, bias, {stride, stride}, {padding, padding});
  if (residual) y = y.add_(*residual);
  return relu ? y.relu_() : y;
}

at::Tensor any_convolution(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                           const OptionalTensor& residual, int64_t stride, int64_t padding, bool relu) {
  const at::Tensor map = x.contiguous(at::MemoryFormat::ChannelsLast);
  const OptionalTensor added =
      residual ? OptionalTensor(residual->contiguous(at::MemoryFormat::ChannelsLast)) : std::nullopt;
  return is_half(x) ? convolution(map, weight, bias, added,
                                  {stride, padding, relu ? Activation::kRelu : Activation::kNone})
                    : exact_convolution(map, weight, bias, added, stride, padding, relu);
}

at::Tensor any_linear(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                      const OptionalTensor& residual) {
  if (is_half(x)) {
    return linear(x.contiguous(), weight, bias,
                  residual ? OptionalTensor(residual->contiguous()) : std::nullopt);
  }
  const at::Tensor y = at::linear(x, weight, bias);
  return residual ? y + *residual : y;
}

}  // namespace

// NOLINTNEXTLINE(cert-err58-cpp): the dispatcher takes its tables when the plug-in is loaded
TORCH_LIBRARY_IMPL(brume, CUDA, library) {
  library.impl("attention", &bodies::attention);
  library.impl("group_norm", &bodies::group_norm);
  library.impl("layer_norm", &bodies::layer_norm);
  library.impl("geglu", &bodies::geglu);
  library.impl("sinusoidal_embedding", &bodies::sinusoidal_embedding);
  library.impl("convolution", &any_convolution);
  library.impl("linear", &any_linear);
}

}  // namespace brume::kernels::gpu

#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace brume::kernels::gpu {

enum class Activation { kNone, kRelu };

/// The same for height and width. Dilation and groups are 1.
struct ConvolutionOptions {
  int64_t stride = 1;
  int64_t padding = 0;
  Activation activation = Activation::kNone;
};

/// activation(convolution(x, weight) + bias + residual), summed in fp32 and rounded once, by the fastest of
/// cuDNN's fused kernels; where that is none, by one of PyTorch's calls for each step, which rounds after
/// each. The first call for a problem measures them, up to some two seconds; under capture of a CUDA graph
/// it cannot, and takes PyTorch's calls. The same operands give the same bytes as long as the plan is the
/// same: in a process always, but for calls under capture before the first eager one.
/// x [N, C, H, W] and residual [N, K, H', W'] channels last, weight [K, C, kh, kw] channels last, bias [K],
/// all of one half type on one GPU -> [N, K, H', W'] channels last. Operands laid out otherwise are copied.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       const std::optional<at::Tensor>& residual, const ConvolutionOptions& options);

}  // namespace brume::kernels::gpu

#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace brume::kernels::gpu {

/// x weight^T + bias + residual, summed in fp32 and rounded once, by the fastest algorithm that cublasLt
/// proposes; where it has none, by PyTorch's calls, which round after each step. The first call for a problem
/// measures them, some 50 ms; under capture of a CUDA graph it cannot, and takes the first proposed. In a
/// process the same operands give the same bytes, but for calls under capture before the first eager one.
/// x [..., in], weight [out, in], bias [out], residual [..., out], all dense and of one half type on one GPU
/// -> [..., out]. Operands laid out otherwise are copied.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                  const std::optional<at::Tensor>& residual);

}  // namespace brume::kernels::gpu

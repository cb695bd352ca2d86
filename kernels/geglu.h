#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

/// The gated activation of a transformer's feed-forward ("GLU Variants Improve Transformer", Shazeer 2020),
/// as diffusers' GEGLU: x [..., 2D] -> x[..., :D] * gelu(x[..., D:]), gelu by the error function. Throws
/// std::invalid_argument where the last dimension is odd.
at::Tensor geglu(const at::Tensor& x);

}  // namespace brume::kernels

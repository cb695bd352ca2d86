#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

/// x * sigmoid(x), elementwise.
at::Tensor silu(const at::Tensor& x);

}  // namespace brume::kernels

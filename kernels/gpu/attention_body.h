#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels::gpu::bodies {

/// operations.h says what each computes.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal);

}  // namespace brume::kernels::gpu::bodies

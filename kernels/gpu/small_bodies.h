#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace brume::kernels::gpu::bodies {

// operations.h says what each computes.
at::Tensor geglu(const at::Tensor& x);
at::Tensor sinusoidal_embedding(const at::Tensor& values, int64_t width, bool cosine_first,
                                double freq_shift);

}  // namespace brume::kernels::gpu::bodies

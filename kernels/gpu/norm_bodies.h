#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace brume::kernels::gpu::bodies {

// operations.h says what each computes.
at::Tensor group_norm(const at::Tensor& first, const std::optional<at::Tensor>& second,
                      const std::optional<at::Tensor>& embedding, const at::Tensor& weight,
                      const at::Tensor& bias, int64_t groups, double eps, bool silu);
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);

}  // namespace brume::kernels::gpu::bodies

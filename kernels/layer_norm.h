#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

/// Layer normalisation of the last dimension ("Layer Normalization", Ba et al. 2016):
/// (x - mean) / sqrt(variance + eps) * weight + bias. x [..., D], weight and bias [D]; gives a tensor like x.
/// Throws std::invalid_argument where the shapes do not fit.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);

}  // namespace brume::kernels

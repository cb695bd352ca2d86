#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/cpu/machines.h"

namespace brume::kernels {

/// As layer_norm on one of the CPU's machines, fp32 or bf16.
at::Tensor layer_norm_cpu(const cpu::Machine& machine, const at::Tensor& x, const at::Tensor& weight,
                          const at::Tensor& bias, double eps);

}  // namespace brume::kernels

#pragma once
#include "kernels/cpu/machines.h"
#include "kernels/layer_norm.h"

namespace brume::kernels {

/// As layer_norm_of_sum on one of the CPU's machines, fp32 or bf16. Where `residual` is undefined, the sum is
/// x.
SumAndNorm layer_norm_cpu(const cpu::Machine& machine, const at::Tensor& x, const at::Tensor& residual,
                          const at::Tensor& weight, const at::Tensor& bias, double eps);

}  // namespace brume::kernels

#pragma once
#include "kernels/cpu/machines.h"
#include "kernels/group_norm.h"

namespace brume::kernels {

/// As group_norm, on one of the CPU's machines: fp32 or bf16 maps [N, C, H, W], read and written channels
/// last.
at::Tensor group_norm_cpu(const cpu::Machine& machine, const GroupNormInput& input, const at::Tensor& weight,
                          const at::Tensor& bias, const GroupNormSettings& settings);

}  // namespace brume::kernels

#pragma once
#include "kernels/cpu/machines.h"
#include "kernels/geglu.h"

namespace brume::kernels {

/// As geglu on one of the CPU's machines, fp32 or bf16.
at::Tensor geglu_cpu(const cpu::Machine& machine, const at::Tensor& x);

}  // namespace brume::kernels

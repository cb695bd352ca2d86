#pragma once
#include "kernels/attention.h"
#include "kernels/cpu/machines.h"

namespace brume::kernels {

/// As attention without a mask, on one of the CPU's machines: fp32 or bf16.
at::Tensor attention_cpu(const cpu::Machine& machine, const at::Tensor& q, const at::Tensor& k,
                         const at::Tensor& v);

}  // namespace brume::kernels

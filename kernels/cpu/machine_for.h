#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/cpu/machines.h"

namespace brume::kernels::cpu {

/// Whether the CPU's kernels can read a tensor.
inline bool has_kernels(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

inline const DtypeKernels& kernels_for(const Machine& machine, at::ScalarType dtype) {
  return dtype == at::kFloat ? machine.fp32 : machine.bf16;
}

}  // namespace brume::kernels::cpu

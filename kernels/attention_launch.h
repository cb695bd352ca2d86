#pragma once
#include "kernels/attention_params.h"
#include "kernels/attention_plan.h"
#include "kernels/element.h"

struct CUstream_st;

namespace brume::kernels {

/// Starts the kernel of the plan on the stream, for fp16 or bf16; `shape` must be the one it was planned for.
/// Returns the CUDA error code, 0 for success.
int launch_attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                     Element element, CUstream_st* stream);

}  // namespace brume::kernels

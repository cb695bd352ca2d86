#pragma once
#include "kernels/attention_params.h"
#include "kernels/attention_plan.h"

struct CUstream_st;

namespace brume::kernels {

enum class HalfType { kFp16, kBf16 };

/// Starts the kernel of the plan on the stream; `shape` must be the one it was planned for. Returns the CUDA
/// error code, 0 for success.
int launch_attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                     HalfType type, CUstream_st* stream);

}  // namespace brume::kernels

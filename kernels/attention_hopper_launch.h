#pragma once
#include "kernels/attention_hopper_plan.h"
#include "kernels/attention_launch.h"

namespace brume::kernels {

/// Starts the Hopper kernel of the plan on the stream; `shape` must be the one it was planned for. Returns
/// the CUDA error code, 0 for success.
int launch_attention_hopper(const AttentionParams& params, const AttentionShape& shape,
                            const HopperAttentionPlan& plan, Element element, CUstream_st* stream);

}  // namespace brume::kernels

#pragma once
#include "kernels/attention_plan.h"

namespace brume::kernels {

struct ComputeCapability {
  int32_t major;
  int32_t minor;
};

/// One of the compiled Hopper kernels, and how many blocks share a head's queries.
struct HopperAttentionPlan {
  int32_t head_dim;
  int32_t panel_columns;  // of a head, in shared memory
  int32_t tile_queries;
  int32_t tile_keys;
  int32_t shared_bytes;
  int32_t blocks;
};

/// The Hopper kernel for a shape: on compute capability 9.0 alone (its instructions are in no other), where
/// plan_attention would stream the keys. Keys that stay resident are few: nothing there is worth a pipeline.
std::optional<HopperAttentionPlan> plan_attention_hopper(const AttentionShape& shape, const GpuLimits& gpu,
                                                         const ComputeCapability& capability);

}  // namespace brume::kernels

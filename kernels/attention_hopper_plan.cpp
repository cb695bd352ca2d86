#include "kernels/attention_hopper_plan.h"

#include <array>

namespace brume::kernels {

namespace {

struct Candidate {
  int32_t head_dim;
  int32_t panel_columns;
  int32_t stages;
};

/// Every compiled kernel; attention_hopper_instances.h has the same list. Wide panels are loaded with fewer
/// requests, and a product of v reads whole panels where they divide head_dim, as the manual draws them: 160
/// is five panels of 32, 80 five of 16. No panel divides 40 (8 columns have no swizzle): there one of 64 is
/// loaded with the fewest requests, and the products leave its last 24 columns, zeros, alone. That product,
/// 40 columns of an MN-major panel of 64, was never run on a GPU and is not drawn in the manual, and CUTLASS
/// takes the 128-byte swizzle for whole panels alone. Should a GPU show wrong numbers at head_dim 40, try
/// {40, 8, 3} first, here and in attention_hopper_instances.h: HopperTile<T, 40, 8>, five panels without a
/// swizzle, which hopper_panels_test.cpp runs on the host.
constexpr std::array kCandidates = {Candidate{40, 64, 3}, Candidate{64, 64, 3}, Candidate{80, 16, 3},
                                    Candidate{128, 64, 2}, Candidate{160, 32, 2}};

constexpr int32_t kTileQueries = 128;
constexpr int32_t kTileKeys = 128;
constexpr int32_t kBytes = 2;         // of an element
constexpr int32_t kBarrierBytes = 8;  // one for the queries, four for each stage

int32_t shared_bytes(const Candidate& kernel) {
  const int32_t depth = (kernel.head_dim + 15) / 16 * 16;
  const int32_t columns = (depth + kernel.panel_columns - 1) / kernel.panel_columns * kernel.panel_columns;
  const int32_t rows = kTileQueries + 2 * kernel.stages * kTileKeys;
  return rows * columns * kBytes + (1 + 4 * kernel.stages) * kBarrierBytes;
}

}  // namespace

std::optional<HopperAttentionPlan> plan_attention_hopper(const AttentionShape& shape, const GpuLimits& gpu,
                                                         const ComputeCapability& capability) {
  if (capability.major != 9 || capability.minor != 0) return {};
  const std::optional<AttentionPlan> other = plan_attention(shape, gpu);
  if (!other || other->kind != AttentionKind::kStreamed) return {};
  for (const Candidate& kernel : kCandidates) {
    const int32_t bytes = shared_bytes(kernel);
    if (kernel.head_dim != shape.head_dim || bytes > gpu.shared_bytes_a_block) continue;
    const int32_t blocks = (shape.queries + kTileQueries - 1) / kTileQueries;
    return HopperAttentionPlan{kernel.head_dim, kernel.panel_columns, kTileQueries, kTileKeys, bytes, blocks};
  }
  return {};
}

}  // namespace brume::kernels

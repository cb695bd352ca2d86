#pragma once
#include <cstdint>
#include <optional>

namespace brume::kernels {

struct AttentionShape {
  int32_t batch;
  int32_t heads;
  int32_t queries;
  int32_t keys;
  int32_t head_dim;
};

/// What of a GPU the choice of a kernel depends on.
struct GpuLimits {
  int32_t multiprocessors;
  int32_t shared_bytes_a_block;  // with the opt-in
  int32_t shared_bytes_a_multiprocessor;
};

enum class AttentionKind { kStreamed, kResident };

/// One of the compiled kernels, and how many blocks share a head's queries.
struct AttentionPlan {
  AttentionKind kind;
  int32_t head_dim;
  int32_t row_tiles;  // of 16 queries, a warp
  int32_t tile_keys;
  int32_t shared_bytes;
  int32_t blocks;
  int32_t blocks_each;  // that a multiprocessor has the registers for: the kernel's budget

  int32_t tile_queries() const { return 4 * 16 * row_tiles; }
};

/// The kernel for a shape on a GPU: keys that fit stay resident; a tile of queries is as large as still fills
/// the multiprocessors. Nothing where head_dim is none of 40, 64, 80, 128 and 160, or there is nothing to do.
std::optional<AttentionPlan> plan_attention(const AttentionShape& shape, const GpuLimits& gpu);

}  // namespace brume::kernels

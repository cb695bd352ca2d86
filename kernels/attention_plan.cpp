#include "kernels/attention_plan.h"

#include <algorithm>
#include <array>

namespace brume::kernels {

namespace {

constexpr int32_t kWarps = 4;
constexpr int32_t kBytes = 2;  // of an element

struct Candidate {
  AttentionKind kind;
  int32_t head_dim;
  int32_t row_tiles;
  int32_t tile_keys;
  int32_t blocks_by_registers;  // that a multiprocessor of 65,536 registers holds
};

constexpr auto kStreamed = AttentionKind::kStreamed;
constexpr auto kResident = AttentionKind::kResident;

/// Every compiled kernel; attention_instances.h has the same list.
constexpr std::array kCandidates = {
    Candidate{kStreamed, 40, 2, 64, 2},  Candidate{kStreamed, 40, 1, 64, 4},
    Candidate{kStreamed, 64, 2, 64, 2},  Candidate{kStreamed, 64, 1, 64, 3},
    Candidate{kStreamed, 80, 2, 64, 2},  Candidate{kStreamed, 80, 1, 64, 3},
    Candidate{kStreamed, 128, 1, 64, 2}, Candidate{kStreamed, 160, 1, 48, 2},
    Candidate{kResident, 40, 1, 80, 4},  Candidate{kResident, 40, 1, 160, 3},
    Candidate{kResident, 40, 1, 240, 2}, Candidate{kResident, 64, 1, 80, 3},
    Candidate{kResident, 64, 1, 160, 3}, Candidate{kResident, 64, 1, 240, 2},
    Candidate{kResident, 80, 1, 80, 3},  Candidate{kResident, 80, 1, 160, 2},
    Candidate{kResident, 80, 1, 240, 2}, Candidate{kResident, 128, 1, 80, 2},
    Candidate{kResident, 160, 1, 80, 2},
};

int32_t shared_bytes(const Candidate& kernel) {
  const int32_t depth = (kernel.head_dim + 15) / 16 * 16;
  const int32_t queries = kWarps * 16 * kernel.row_tiles * depth;
  const int32_t stage = kernel.tile_keys * (depth + kernel.head_dim);
  return kBytes * (kernel.kind == kResident ? 2 * queries + stage : queries + 2 * stage);
}

int32_t ceil_div(int32_t a, int32_t b) { return (a + b - 1) / b; }

/// Blocks that are at work at once.
int32_t slots(const Candidate& kernel, const GpuLimits& gpu) {
  constexpr int32_t kReserved = 1024;  // bytes a block that the driver takes
  const int32_t by_memory = gpu.shared_bytes_a_multiprocessor / (shared_bytes(kernel) + kReserved);
  return gpu.multiprocessors * std::max(1, std::min(by_memory, kernel.blocks_by_registers));
}

/// How long the blocks of a streamed kernel take, in arbitrary units: whole waves of them, each as long as
/// its warps have rows. Two row tiles share every key fragment they load, so they take less than twice as
/// long as one.
double cost(const Candidate& kernel, const AttentionShape& shape, const GpuLimits& gpu) {
  constexpr double kShared = 0.9;
  const int32_t blocks = ceil_div(shape.queries, kWarps * 16 * kernel.row_tiles) * shape.heads * shape.batch;
  const int32_t slots_now = slots(kernel, gpu);
  const int32_t at_once = std::min(blocks, slots_now);
  // Blocks on one multiprocessor share its tensor cores.
  const double crowd = std::max(1.0, static_cast<double>(at_once) / gpu.multiprocessors);
  const double length = kernel.row_tiles == 1 ? 1 : kernel.row_tiles * kShared;
  return ceil_div(blocks, slots_now) * crowd * length;
}

}  // namespace

std::optional<AttentionPlan> plan_attention(const AttentionShape& shape, const GpuLimits& gpu) {
  if (shape.batch < 1 || shape.heads < 1 || shape.queries < 1 || shape.keys < 1) return {};
  const Candidate* best = nullptr;
  for (const Candidate& kernel : kCandidates) {
    if (kernel.head_dim != shape.head_dim || shared_bytes(kernel) > gpu.shared_bytes_a_block) continue;
    if (kernel.kind == kResident) {
      const bool fits = shape.keys <= kernel.tile_keys;
      const bool better = best == nullptr || best->kind == kStreamed || kernel.tile_keys < best->tile_keys;
      if (fits && better) best = &kernel;
    } else if (best == nullptr ||
               (best->kind == kStreamed && cost(kernel, shape, gpu) < cost(*best, shape, gpu))) {
      best = &kernel;
    }
  }
  if (best == nullptr) return {};
  AttentionPlan plan{
      best->kind, best->head_dim,           best->row_tiles, best->tile_keys, shared_bytes(*best),
      0,          best->blocks_by_registers};
  plan.blocks = ceil_div(shape.queries, plan.tile_queries());
  if (plan.kind == kResident) {
    const int32_t heads = shape.heads * shape.batch;
    plan.blocks = std::min(plan.blocks, std::max(1, slots(*best, gpu) / heads));
  }
  return plan;
}

}  // namespace brume::kernels

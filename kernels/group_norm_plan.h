#pragma once
#include <cstdint>

#include "kernels/group_norm_params.h"

namespace brume::kernels {

struct GroupNormMachine {
  int multiprocessors;
  int shared_bytes;  // that a block may have
  int64_t l2_bytes;
  int most_threads = 512;  // of a block, a multiple of 32
};

enum class GroupNormAccess { kVectors, kScalars };

/// Vectors where every pointer and stride is a multiple of 16 bytes, and a vector touches two groups at most.
GroupNormAccess group_norm_access(const GroupNormParams& params, int element_bytes);

/// One launch where the blocks that are resident together hold a slice on chip; two passes else, over so many
/// slices at a time that the second pass finds them in L2. A picture that L2 cannot hold is one slice.
/// Groups must divide channels. Where the shape has no elements or no groups the plan has no chunks, and its
/// launch does nothing.
GroupNormPlan plan_group_norm(const GroupNormShape& shape, GroupNormAccess access, int element_bytes,
                              const GroupNormMachine& machine);

/// The same cut in two passes, for where the driver refuses to start the blocks that meet all at once. It
/// needs the same workspace.
GroupNormPlan group_norm_without_meeting(const GroupNormShape& shape, const GroupNormPlan& plan);

int64_t group_norm_workspace_bytes(const GroupNormShape& shape, const GroupNormPlan& plan);

/// Whether the blocks of a slice meet, which needs a cooperative launch.
inline bool group_norm_meets(const GroupNormPlan& plan) {
  return plan.mode == GroupNormPlan::Mode::kOneLaunch && plan.chunks > 1;
}

}  // namespace brume::kernels

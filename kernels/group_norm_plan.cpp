#include "kernels/group_norm_plan.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "kernels/device/number.h"

namespace brume::kernels {

using device::ceil_div;
using device::round_up;

namespace {

constexpr int kVectorBytes = 16;
constexpr int kSectorBytes = 32;      // what memory moves at least
constexpr int kLeastSliceBytes = 64;  // of a pixel
constexpr int kMostSliceBytes = 512;  // where whole sectors are a mere wish
constexpr int kReservedBytes = 1024;  // of shared memory, by the driver, for each block
constexpr int kMomentFloats = 3;
constexpr int kPartialBytes = 16;
constexpr int kVisitsOfAMeeting = 2;   // vectors that a thread does while blocks meet
constexpr int kVisitsWorthABlock = 4;  // of two passes: fewer vectors a thread than another launch is worth

/// A vector of a thread touches `spans` groups: one where groups are whole vectors, else two.
int spans(int group_channels, int vector) { return group_channels % vector == 0 ? 1 : 2; }

/// The fewest groups whose channels fill whole vectors, whole sectors and kLeastSliceBytes; of these wishes
/// the first is a must.
int slice_groups(const GroupNormShape& shape, int vector, int element_bytes, int most_threads) {
  const int group_bytes = shape.channels / shape.groups * element_bytes;
  const auto fewest = [&](int unit, int most_bytes) {
    for (int groups = 1; groups <= shape.groups && groups * group_bytes <= most_bytes; ++groups) {
      const int bytes = groups * group_bytes;
      if (bytes >= kLeastSliceBytes && bytes % unit == 0) return groups;
    }
    return 0;
  };
  const int most_bytes = std::min(kMostSliceBytes, most_threads * vector * element_bytes);
  if (const int groups = fewest(kSectorBytes, most_bytes); groups > 0) return groups;
  if (const int groups = fewest(vector * element_bytes, shape.groups * group_bytes); groups > 0)
    return groups;
  return shape.groups;
}

/// Shared memory beside the tile.
int scratch_bytes(const GroupNormPlan& plan, int group_channels) {
  const int floats = spans(group_channels, plan.vector) * kMomentFloats * plan.threads;
  return (floats + 2 * plan.slice_groups) * static_cast<int>(sizeof(float));
}

struct Cut {
  int jobs;     // slices of all pictures
  int columns;  // vectors of a pixel of a slice
  int rows;     // pixels that a block works on at once
};

/// Room for the tile where kGroupNormBlocksEach blocks share a multiprocessor.
int tile_slots(const GroupNormPlan& plan, const GroupNormMachine& machine, int scratch, int element_bytes) {
  const int each = (machine.shared_bytes + kReservedBytes) / kGroupNormBlocksEach - kReservedBytes;
  return std::max(0, each - scratch) / (plan.threads * plan.vector * element_bytes);
}

/// Into how many of `least` to `most` blocks each of some slices is cut: the busiest multiprocessor is to
/// have the least to do. 21 blocks for each of 8 slices are two for some of 132 multiprocessors and one for
/// most.
int quickest_blocks(int least, int most, int slices, int pixels, const Cut& cut,
                    const GroupNormMachine& machine) {
  int quickest = least;
  int best = std::numeric_limits<int>::max();
  for (int blocks = least; blocks <= most; ++blocks) {
    const int visits = ceil_div(ceil_div(pixels, blocks), cut.rows);
    const int each = ceil_div(blocks * slices, machine.multiprocessors);
    const int cost = each * visits + (blocks > 1 ? kVisitsOfAMeeting : 0);
    if (cost < best) quickest = blocks;
    best = std::min(best, cost);
  }
  return quickest;
}

/// False where the slice does not fit.
bool cut_for_one_launch(GroupNormPlan& plan, const Cut& cut, int pixels, const GroupNormMachine& machine) {
  const int visits_a_pixel = ceil_div(cut.columns, plan.threads);
  const int most_pixels = plan.slots / visits_a_pixel * cut.rows;
  if (most_pixels == 0 || cut.jobs > kGroupNormMostSlices) return false;
  const int resident = machine.multiprocessors * kGroupNormBlocksEach;
  const int least = ceil_div(pixels, most_pixels);
  if (least > resident) return false;
  // As few turns as can be, then all multiprocessors for the slices of a turn.
  const int turns = ceil_div(cut.jobs, std::min(cut.jobs, resident / least));
  plan.teams = ceil_div(cut.jobs, turns);
  const int blocks = quickest_blocks(least, resident / plan.teams, plan.teams, pixels, cut, machine);
  plan.chunk_pixels = ceil_div(pixels, blocks);
  plan.chunks = ceil_div(pixels, plan.chunk_pixels);
  plan.slots = ceil_div(plan.chunk_pixels, cut.rows) * visits_a_pixel;
  // Nobody waits for anybody, so nobody need be resident.
  if (plan.chunks == 1) plan.teams = cut.jobs;
  return true;
}

void cut_for_two_passes(GroupNormPlan& plan, const Cut& cut, int64_t slice_bytes, int pixels,
                        const GroupNormMachine& machine) {
  constexpr int kMostGridRows = 65535;
  // Half of L2: the result passes through it too.
  const int64_t together = std::max<int64_t>(1, machine.l2_bytes / 2 / std::max<int64_t>(1, slice_bytes));
  plan.teams = static_cast<int>(std::min<int64_t>({together, cut.jobs, kMostGridRows}));
  const int wanted = ceil_div(pixels, kVisitsWorthABlock * cut.rows);
  const int blocks = std::min(wanted, ceil_div(machine.multiprocessors * kGroupNormBlocksEach, plan.teams));
  plan.chunk_pixels = ceil_div(pixels, blocks);
  plan.chunks = ceil_div(pixels, plan.chunk_pixels);
  plan.slots = 0;
}

/// Of a picture that L2 cannot hold, every byte of a pixel is read when its row of memory is open: in slices
/// of some channels an H100 took 505 us for 1024x1024x128 in fp16, so 300.
bool is_read_whole(const GroupNormShape& shape, int vector, int element_bytes,
                   const GroupNormMachine& machine) {
  const int64_t bytes = int64_t{shape.pixels} * shape.channels * element_bytes;
  return bytes > machine.l2_bytes && vector > 1 && shape.channels / vector <= machine.most_threads;
}

bool is_empty(const GroupNormShape& shape) {
  return shape.pictures < 1 || shape.pixels < 1 || shape.channels < 1 || shape.groups < 1;
}

bool aligned(const void* data, std::initializer_list<int64_t> elements, int element_bytes) {
  bool all = reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0;
  for (const int64_t count : elements) all = all && count * element_bytes % kVectorBytes == 0;
  return all;
}

}  // namespace

GroupNormAccess group_norm_access(const GroupNormParams& params, int element_bytes) {
  if (is_empty(params.shape)) return GroupNormAccess::kScalars;  // of nothing
  const int vector = kVectorBytes / element_bytes;
  const int group_channels = params.shape.channels / params.shape.groups;
  bool fits = params.shape.channels % vector == 0;
  // A vector inside groups, of two whole groups, or across one border.
  fits =
      fits && (group_channels % vector == 0 || group_channels * 2 == vector || group_channels >= vector - 1);
  for (const GroupNormPart& part : params.parts) {
    if (part.channels > 0)
      fits =
          fits && aligned(part.data, {part.channels, part.pixel_stride, part.picture_stride}, element_bytes);
  }
  fits = fits && aligned(params.y, {params.y_pixel_stride, params.y_picture_stride}, element_bytes);
  fits = fits && aligned(params.weight, {}, element_bytes) && aligned(params.bias, {}, element_bytes);
  if (params.embedding != nullptr)
    fits = fits && aligned(params.embedding, {params.embedding_stride}, element_bytes);
  return fits ? GroupNormAccess::kVectors : GroupNormAccess::kScalars;
}

GroupNormPlan plan_group_norm(const GroupNormShape& shape, GroupNormAccess access, int element_bytes,
                              const GroupNormMachine& machine) {
  GroupNormPlan plan{};
  if (is_empty(shape)) return plan;
  const int group_channels = shape.channels / shape.groups;
  plan.vector = access == GroupNormAccess::kVectors ? kVectorBytes / element_bytes : 1;
  plan.slice_groups = slice_groups(shape, plan.vector, element_bytes, machine.most_threads);
  if (plan.slice_groups > 1 && plan.slice_groups * group_channels / plan.vector > machine.most_threads) {
    // A thread with several columns knows one group alone; slices of scalars are a group, or narrow.
    plan.vector = 1;
    plan.slice_groups = slice_groups(shape, plan.vector, element_bytes, machine.most_threads);
  }
  const bool whole = is_read_whole(shape, plan.vector, element_bytes, machine);
  if (whole) plan.slice_groups = shape.groups;
  plan.slices = ceil_div(shape.groups, plan.slice_groups);
  const int slice_channels = plan.slice_groups * group_channels;
  Cut cut{shape.pictures * plan.slices, slice_channels / plan.vector, 1};
  const int64_t vectors = int64_t{cut.columns} * shape.pixels;
  plan.threads = static_cast<int>(std::min<int64_t>(machine.most_threads, (vectors + 31) / 32 * 32));
  cut.rows = std::max(1, plan.threads / cut.columns);
  const int scratch = scratch_bytes(plan, group_channels);
  plan.slots = tile_slots(plan, machine, scratch, element_bytes);
  if (!whole && cut_for_one_launch(plan, cut, shape.pixels, machine)) {
    plan.mode = GroupNormPlan::Mode::kOneLaunch;
  } else {
    const int64_t slice_bytes = int64_t{shape.pixels} * slice_channels * element_bytes;
    plan.mode = GroupNormPlan::Mode::kTwoPasses;
    cut_for_two_passes(plan, cut, slice_bytes, shape.pixels, machine);
  }
  plan.shared_bytes = plan.slots * plan.threads * plan.vector * element_bytes + scratch;
  return plan;
}

GroupNormPlan group_norm_without_meeting(const GroupNormShape& shape, const GroupNormPlan& plan) {
  GroupNormPlan passes = plan;
  passes.mode = GroupNormPlan::Mode::kTwoPasses;
  passes.slots = 0;
  // The slices of a turn fit on chip together, so L2 has most of them for the second pass.
  passes.shared_bytes = scratch_bytes(passes, shape.channels / shape.groups);
  return passes;
}

int64_t group_norm_workspace_bytes(const GroupNormShape& shape, const GroupNormPlan& plan) {
  return kGroupNormMeetingBytes + int64_t{kPartialBytes} * shape.pictures * shape.groups * plan.chunks;
}

}  // namespace brume::kernels

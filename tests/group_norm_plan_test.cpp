#include "kernels/group_norm_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "kernels/budget.h"
#include "kernels/device/number.h"

// How group norms of the models' shapes, and of awkward ones, are cut for five GPUs.
namespace brume::kernels {
namespace {

using device::ceil_div;
using Mode = GroupNormPlan::Mode;

std::string name_of(const GroupNormShape& shape) {
  return std::to_string(shape.pictures) + "x" + std::to_string(shape.pixels) + "x" +
         std::to_string(shape.channels) + " groups " + std::to_string(shape.groups);
}

struct Gpu {
  const char* name;
  GroupNormMachine machine;
  int shared_bytes_each;  // of a multiprocessor
};
const Gpu kGpus[] = {{"A100", {108, 163 << 10, 40 << 20}, 164 << 10},
                     {"RTX 4090", {128, 99 << 10, 72 << 20}, 100 << 10},
                     {"H200", {132, 227 << 10, 50 << 20}, 228 << 10},
                     {"RTX 5090", {170, 99 << 10, 96 << 20}, 100 << 10},
                     {"RTX 3060", {28, 99 << 10, 3 << 20}, 100 << 10}};

std::vector<GroupNormShape> model_shapes() {
  std::vector<GroupNormShape> shapes;
  const auto add = [&](int side, std::initializer_list<int> channels) {
    for (const int c : channels) {
      for (const int n : {1, 2, 8}) shapes.push_back({n, side * side, c, 32});
    }
  };
  add(64, {320, 640, 960});  // SD 1.5
  add(32, {320, 640, 960, 1280, 1920});
  add(16, {640, 1280, 1920, 2560});
  add(8, {1280, 2560});
  add(128, {320, 640, 960});  // SDXL
  add(64, {640, 1280, 1920});
  add(32, {1280, 2560});
  add(128, {512});  // the VAE's decoder
  add(256, {512});
  add(512, {256, 512});
  add(1024, {128, 256});
  add(1, {32});
  return shapes;
}

/// Every vector of a picture's pixels is some thread's of some chunk of some slice, once.
void expect_covered(const GroupNormShape& shape, const GroupNormPlan& plan) {
  const int width = shape.channels / shape.groups;
  int64_t channels = 0;
  for (int slice = 0; slice < plan.slices; ++slice) {
    const int groups = std::min(plan.slice_groups, shape.groups - slice * plan.slice_groups);
    ASSERT_GT(groups, 0);
    ASSERT_EQ(slice * plan.slice_groups * width % plan.vector, 0);
    ASSERT_EQ(groups * width % plan.vector, 0);
    channels += groups * width;
    const int columns = groups * width / plan.vector;
    const int rows = std::max(1, plan.threads / columns);
    if (plan.mode == Mode::kOneLaunch) {
      ASSERT_LE(ceil_div(plan.chunk_pixels, rows) * ceil_div(columns, plan.threads), plan.slots);
    }
    // More than a column a thread only where the slice is one group.
    ASSERT_TRUE(columns <= plan.threads || plan.slice_groups == 1);
  }
  EXPECT_EQ(channels, shape.channels);
  EXPECT_GE(int64_t{plan.chunks} * plan.chunk_pixels, shape.pixels);
  EXPECT_LT(int64_t{plan.chunks - 1} * plan.chunk_pixels, shape.pixels);
}

TEST(GroupNormPlan, FitsTheMachineAndCoversTheMap) {
  for (const Gpu& gpu : kGpus) {
    for (const GroupNormShape& shape : model_shapes()) {
      for (const int bytes : {2, 4}) {
        const GroupNormPlan plan = plan_group_norm(shape, GroupNormAccess::kVectors, bytes, gpu.machine);
        SCOPED_TRACE(std::string(gpu.name) + " " + name_of(shape));
        expect_covered(shape, plan);
        EXPECT_LE(plan.shared_bytes, gpu.machine.shared_bytes);
        EXPECT_EQ(plan.threads % 32, 0);
        EXPECT_LE(plan.threads, 512);
        if (group_norm_meets(plan)) {
          // Resident together, the driver's KiB of each counted.
          EXPECT_LE(kGroupNormBlocksEach * (plan.shared_bytes + 1024), gpu.shared_bytes_each);
          EXPECT_LE(plan.chunks * plan.teams, kGroupNormBlocksEach * gpu.machine.multiprocessors);
          EXPECT_LE(shape.pictures * plan.slices, kGroupNormMostSlices);
        }
        if (plan.mode == Mode::kTwoPasses && plan.teams > 1) {
          const int64_t slice = int64_t{shape.pixels} * plan.slice_groups * (shape.channels / 32) * bytes;
          EXPECT_LE(plan.teams * slice, gpu.machine.l2_bytes / 2);
        }
        EXPECT_GE(plan.slice_groups * (shape.channels / 32) * bytes, 64);
      }
    }
  }
}

TEST(GroupNormPlan, MapsOfTheModelsTakeOneLaunchWhereTheyFit) {
  const auto mode = [](const GroupNormShape& shape, const GroupNormMachine& machine) {
    return plan_group_norm(shape, GroupNormAccess::kVectors, 2, machine).mode;
  };
  const GroupNormMachine h200 = kGpus[2].machine;
  EXPECT_EQ(mode({2, 64 * 64, 960, 32}, h200), Mode::kOneLaunch);
  EXPECT_EQ(mode({2, 128 * 128, 960, 32}, h200), Mode::kOneLaunch);
  EXPECT_EQ(mode({2, 64 * 64, 320, 32}, kGpus[1].machine), Mode::kOneLaunch);
}

/// Vectors that the busiest multiprocessor sees of each thread's columns, over what it would be if all were
/// as busy.
TEST(GroupNormPlan, MultiprocessorsAreBusyAlike) {
  for (const GroupNormShape& shape : {GroupNormShape{2, 64 * 64, 320, 32},
                                      {2, 64 * 64, 640, 32},
                                      {2, 32 * 32, 1280, 32},
                                      {2, 128 * 128, 320, 32},
                                      {2, 64 * 64, 960, 32}}) {
    const GroupNormMachine machine = kGpus[2].machine;
    const GroupNormPlan plan = plan_group_norm(shape, GroupNormAccess::kVectors, 2, machine);
    ASSERT_EQ(plan.mode, Mode::kOneLaunch);
    const int each = ceil_div(plan.chunks * plan.teams, machine.multiprocessors);
    const double vectors = double{1} * shape.pictures * shape.pixels * shape.channels / plan.vector;
    EXPECT_LT(each * plan.slots * plan.threads / (vectors / machine.multiprocessors), 1.3) << name_of(shape);
  }
  // A tiny one is sooner done by a block than met about.
  const GroupNormPlan tiny =
      plan_group_norm({2, 8 * 8, 1280, 32}, GroupNormAccess::kVectors, 2, kGpus[2].machine);
  EXPECT_EQ(tiny.chunks, 1);
}

TEST(GroupNormPlan, AMapLargerThanL2IsReadWholePixelByPixel) {
  for (const GroupNormShape& shape :
       {GroupNormShape{2, 256 * 256, 512, 32}, {1, 512 * 512, 256, 32}, {1, 1024 * 1024, 128, 32}}) {
    SCOPED_TRACE(name_of(shape));
    const GroupNormPlan plan = plan_group_norm(shape, GroupNormAccess::kVectors, 2, kGpus[2].machine);
    EXPECT_EQ(plan.mode, Mode::kTwoPasses);
    EXPECT_EQ(plan.slices, 1);
    EXPECT_GT(plan.chunks, 250);  // of 264 that are resident
    expect_covered(shape, plan);
    // Not where a thread would have several columns, or where columns are no vectors.
    EXPECT_GT(
        plan_group_norm({1, 1 << 14, 512 * 16, 32}, GroupNormAccess::kVectors, 2, kGpus[2].machine).slices,
        1);
    EXPECT_GT(plan_group_norm(shape, GroupNormAccess::kScalars, 2, kGpus[2].machine).slices, 1);
  }
}

TEST(GroupNormPlan, AwkwardWidthsAreCovered) {
  for (int width = 1; width <= 700; ++width) {
    for (const int groups : {1, 3, 32}) {
      for (const int bytes : {2, 4}) {
        const GroupNormShape shape{2, 63, groups * width, groups};
        GroupNormParams params{};
        params.shape = shape;
        params.parts[0] = {nullptr, shape.channels, shape.channels, int64_t{63} * shape.channels};
        params.y_pixel_stride = shape.channels;
        const GroupNormPlan plan =
            plan_group_norm(shape, group_norm_access(params, bytes), bytes, kGpus[0].machine);
        SCOPED_TRACE(name_of(shape));
        expect_covered(shape, plan);
      }
    }
  }
}

TEST(GroupNormPlan, NothingIsPlannedForNoElements) {
  for (const GroupNormShape& shape : {GroupNormShape{0, 64, 320, 32}, GroupNormShape{2, 0, 320, 32},
                                      GroupNormShape{2, 64, 0, 32}, GroupNormShape{2, 64, 320, 0}}) {
    SCOPED_TRACE(name_of(shape));
    GroupNormParams params{};
    params.shape = shape;
    for (const int bytes : {2, 4}) {
      const GroupNormPlan plan =
          plan_group_norm(shape, group_norm_access(params, bytes), bytes, kGpus[0].machine);
      EXPECT_EQ(plan.chunks, 0);
      EXPECT_EQ(plan.shared_bytes, 0);
      EXPECT_FALSE(group_norm_meets(plan));
      EXPECT_EQ(group_norm_workspace_bytes(shape, plan), kGroupNormMeetingBytes);
    }
  }
}

TEST(GroupNormPlan, TwoPassesTakeOverWhereBlocksMayNotMeet) {
  int met = 0;
  for (const Gpu& gpu : kGpus) {
    for (const GroupNormShape& shape : model_shapes()) {
      const GroupNormPlan plan = plan_group_norm(shape, GroupNormAccess::kVectors, 2, gpu.machine);
      if (!group_norm_meets(plan)) continue;
      ++met;
      SCOPED_TRACE(std::string(gpu.name) + " " + name_of(shape));
      const GroupNormPlan passes = group_norm_without_meeting(shape, plan);
      EXPECT_EQ(passes.mode, Mode::kTwoPasses);
      EXPECT_FALSE(group_norm_meets(passes));
      expect_covered(shape, passes);
      EXPECT_LE(passes.shared_bytes, kSharedBytesUnasked);
      EXPECT_LE(group_norm_workspace_bytes(shape, passes), group_norm_workspace_bytes(shape, plan));
    }
  }
  EXPECT_GT(met, 100);
}

}  // namespace
}  // namespace brume::kernels

#include "kernels/budget.h"

#include <gtest/gtest.h>

#include "kernels/geglu_kernel.h"
#include "kernels/group_norm_kernel.h"
#include "kernels/group_norm_plan.h"
#include "kernels/guided_step_kernel.h"
#include "kernels/layer_norm_kernel.h"
#include "kernels/silu_kernel.h"
#include "kernels/small_plan.h"
#include "kernels/timestep_embedding_kernel.h"

// What the plans launch keeps to the kernels' budgets. (sass_test holds the registers to them; attention
// asserts its own when it is compiled.)
namespace brume::kernels {
namespace {

TEST(KernelBudget, SharesARegisterFileOutByUnitsOfAWarp) {
  EXPECT_EQ((KernelBudget{512, 2, 0}.registers()), 64);
  EXPECT_EQ((KernelBudget{256, 8, 0}.registers()), 32);
  EXPECT_EQ((KernelBudget{128, 3, 0}.registers()), 168);  // not 170: a warp gets 256 at a time
  EXPECT_EQ((KernelBudget{384, 1, 0}.registers()), 168);
  EXPECT_EQ((KernelBudget{128, 2, 0}.registers()), 255);  // no instruction names more
}

void expect_within(const KernelBudget& budget, int threads, int shared_bytes) {
  EXPECT_LE(threads, budget.threads);
  EXPECT_LE(shared_bytes, budget.shared_bytes);
}

TEST(KernelBudget, HoldsWhatGroupNormLaunches) {
  using Norm = device::GroupNorm<device::Half, 8>;
  const GroupNormMachine large{132, 227 << 10, 50 << 20};
  const GroupNormMachine small{1, 0, 1 << 20};
  int one_launch = 0;
  for (const GroupNormMachine& machine : {large, small}) {
    for (const int pixels : {1, 64, 4096, 16384, 1 << 20}) {
      for (int width = 1; width <= 80; ++width) {
        for (const GroupNormAccess access : {GroupNormAccess::kVectors, GroupNormAccess::kScalars}) {
          const int channels = width * 32;
          const GroupNormPlan plan = plan_group_norm({2, pixels, channels, 32}, access, 2, machine);
          const bool once = plan.mode == GroupNormPlan::Mode::kOneLaunch;
          one_launch += once ? 1 : 0;
          expect_within(once ? Norm::kOneLaunchBudget : Norm::kPassBudget, plan.threads, plan.shared_bytes);
        }
      }
    }
  }
  EXPECT_GT(one_launch, 100);
}

TEST(KernelBudget, HoldsWhatTheSmallKernelsLaunch) {
  for (const int width : {1, 77, 320, 640, 1280, 5120, 24576}) {
    LayerNormParams norm{};
    norm.rows = 4096;
    norm.width = width;
    const SmallPlan plan = plan_layer_norm(norm, 2);
    expect_within(device::LayerNorm<device::Half, 8>::kBudget, plan.threads, plan.shared_bytes);
  }
  const SmallPlan geglu = plan_geglu({.rows = 4096, .width = 1280, .x = {}, .y = {}}, 2);
  expect_within(device::kGegluBudget, geglu.threads, geglu.shared_bytes);
  const SmallPlan silu = plan_silu({.count = 4096, .x = nullptr, .y = nullptr}, 2);
  expect_within(device::kSiluBudget, silu.threads, silu.shared_bytes);
  TimestepEmbeddingParams waves{};
  waves.count = 2;
  waves.width = 320;
  const SmallPlan embedding = plan_timestep_embedding(waves);
  expect_within(device::kTimestepEmbeddingBudget, embedding.threads, embedding.shared_bytes);
  GuidedStepParams step{};
  step.count = 16384;
  const SmallPlan guided = plan_guided_step(step, 2);
  expect_within(device::kGuidedStepBudget, guided.threads, guided.shared_bytes);
}

}  // namespace
}  // namespace brume::kernels

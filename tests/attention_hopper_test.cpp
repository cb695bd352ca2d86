#include <gtest/gtest.h>

#include <random>

#include "tests/attention_problem.h"
#include "tests/machine/machine.h"

// The Hopper attention kernel's own source, run on the CPU, against float64 formulas.
namespace brume::kernels {
namespace {

using device::Bfloat16;
using device::Half;
using machine::Report;

constexpr GpuLimits kH200{132, 227 * 1024, 228 * 1024};
constexpr ComputeCapability kHopper{9, 0};
constexpr int kTileKeys = 128;

/// The plan for a shape, even where another kernel would take it for its few keys.
HopperAttentionPlan plan_for(const AttentionShape& shape) {
  AttentionShape long_one = shape;
  long_one.keys = 4096;
  return *plan_attention_hopper(long_one, kH200, kHopper);
}

template <class T>
Report run_planned(Problem<T>& problem, uint32_t schedule = 0) {
  HopperAttentionPlan plan = plan_for(problem.shape);
  plan.blocks = device::ceil_div(problem.shape.queries, plan.tile_queries);
  return machine::attention_hopper(problem.params(), problem.shape, plan, machine::element_of<T>(), schedule);
}

template <class T>
void expect_right(const AttentionShape& shape, float scale = 1) {
  SCOPED_TRACE(testing::Message() << "d " << shape.head_dim << ", " << shape.batch << "x" << shape.heads
                                  << ", " << shape.queries << " queries, " << shape.keys << " keys");
  Problem<T> problem(shape, Strides::kOfTensorMaps);
  problem.fill(static_cast<uint32_t>(shape.queries * 1000 + shape.keys), scale);
  const Report report = run_planned(problem);
  ASSERT_TRUE(report.faults.empty()) << report.faults.front();
  EXPECT_EQ(report.bank_conflicts, 0);
  EXPECT_LT(problem.worst_error(), kMostUnits);
}

class AttentionHopper : public testing::TestWithParam<int> {};

TEST_P(AttentionHopper, IsRightForAnyLength) {
  const int head_dim = GetParam();
  std::mt19937 random(static_cast<uint32_t>(head_dim));
  const auto pick = [&](int most) { return std::uniform_int_distribution<int>(1, most)(random); };
  expect_right<Half>({1, 1, 1, 1, head_dim});
  for (const int batch : {1, 2, 3}) {  // a key less than a tile, a tile, a key more
    const AttentionShape shape{batch, 1 + batch % 2, 64 * batch, kTileKeys + batch - 2, head_dim};
    expect_right<Half>(shape);
    expect_right<Bfloat16>(shape);
  }
  const int stages = head_dim <= 80 ? 3 : 2;
  expect_right<Half>({1, 1, 65, (2 * stages - 1) * kTileKeys + 10, head_dim});  // every stage used again
  expect_right<Half>({pick(2), pick(2), pick(300), pick(300), head_dim});
  expect_right<Bfloat16>({pick(2), pick(2), pick(150), pick(300), head_dim});
}

INSTANTIATE_TEST_SUITE_P(HeadDims, AttentionHopper, testing::Values(40, 64, 80, 128, 160));

TEST(AttentionHopper, LongWalksGoRoundTheStages) { expect_right<Half>({1, 1, 40, 1100, 64}); }

TEST(AttentionHopper, TheGroupsMayGoOnInAnyOrder) {
  Problem<Half> problem({1, 1, 128, 600, 64}, Strides::kOfTensorMaps);
  for (uint32_t schedule = 1; schedule <= 12; ++schedule) {
    problem.fill(1, 1);
    const Report report = run_planned(problem, schedule);
    ASSERT_TRUE(report.faults.empty()) << schedule << ": " << report.faults.front();
    EXPECT_LT(problem.worst_error(), kMostUnits) << schedule;
  }
}

TEST(HopperPlan, IsForHopperAndStreamedKeysAlone) {
  const AttentionShape shape{2, 8, 4096, 4096, 40};
  ASSERT_TRUE(plan_attention_hopper(shape, kH200, kHopper));
  for (const ComputeCapability other : {ComputeCapability{8, 0}, {8, 9}, {9, 1}, {10, 0}, {12, 0}})
    EXPECT_FALSE(plan_attention_hopper(shape, kH200, other)) << other.major << "." << other.minor;
  EXPECT_FALSE(plan_attention_hopper({2, 8, 4096, 77, 40}, kH200, kHopper));    // resident
  EXPECT_FALSE(plan_attention_hopper({2, 8, 4096, 4096, 48}, kH200, kHopper));  // no kernel
}

TEST(HopperPlan, FitsEveryShape) {
  for (const int head_dim : {40, 64, 80, 128, 160}) {
    for (const int keys : {241, 256, 1024, 65536}) {
      for (const int queries : {1, 128, 129, 4096, 65536}) {
        const auto plan = plan_attention_hopper({2, 8, queries, keys, head_dim}, kH200, kHopper);
        ASSERT_TRUE(plan);
        EXPECT_LE(plan->shared_bytes, kH200.shared_bytes_a_block);
        EXPECT_GE(plan->blocks * plan->tile_queries, queries);
        EXPECT_LT((plan->blocks - 1) * plan->tile_queries, queries);
      }
    }
  }
}

TEST(AttentionHopper, LargeScoresDoNotOverflow) {
  for (const float scale : {0.0F, 30.0F, 200.0F}) {
    expect_right<Half>({1, 1, 70, 130, 64}, scale);
    expect_right<Bfloat16>({1, 1, 70, 130, 40}, scale);
  }
}

TEST(AttentionHopper, EqualHugeScoresAreEqualWeights) {
  for (const float size : {100.0F, 1000.0F, 60000.0F}) {
    const double error = equal_scores_error(Problem<Half>({1, 1, 65, 1000, 64}, Strides::kOfTensorMaps), size,
                                            [](Problem<Half>& problem) { return run_planned(problem); });
    EXPECT_LT(error, kMostUnits) << size;
  }
}

template <class T>
void expect_infinities_right() {
  const AttentionShape shape{1, 2, 5, 130, 64};
  const Problem<T> problem(shape, Strides::kOfTensorMaps);
  for (const int one : {0, shape.keys - 1}) {  // in the first tile and in the last
    EXPECT_TRUE(infinities_are_right(problem, one, [](Problem<T>& other) { return run_planned(other); }))
        << one;
  }
}

TEST(AttentionHopper, InfiniteScores) {
  expect_infinities_right<Half>();
  expect_infinities_right<Bfloat16>();
}

}  // namespace
}  // namespace brume::kernels

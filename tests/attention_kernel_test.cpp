#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/attention_problem.h"
#include "tests/machine/machine.h"

// The attention kernels against float64 formulas.
namespace brume::kernels {
namespace {

using device::Bfloat16;
using device::Half;
using machine::Report;

template <class T>
Report run(Problem<T>& problem, const AttentionPlan& plan) {
  return machine::attention(problem.params(), problem.shape, plan, machine::element_of<T>());
}

/// Limits under which every compiled kernel may be chosen.
constexpr GpuLimits kSmall{84, 99 * 1024, 100 * 1024};
constexpr GpuLimits kTiny{1, 99 * 1024, 100 * 1024};

template <class T>
void expect_right(const AttentionShape& shape, const AttentionPlan& plan, float scale = 1) {
  SCOPED_TRACE(testing::Message() << "d " << shape.head_dim << ", " << shape.batch << "x" << shape.heads
                                  << ", " << shape.queries << " queries, " << shape.keys
                                  << " keys, row tiles " << plan.row_tiles << ", tile keys "
                                  << plan.tile_keys);
  Problem<T> problem(shape);
  problem.fill(static_cast<uint32_t>(shape.queries * 1000 + shape.keys), scale);
  const Report report = run(problem, plan);
  ASSERT_TRUE(report.faults.empty()) << report.faults.front();
  EXPECT_EQ(report.bank_conflicts, 0);
  EXPECT_LT(problem.worst_error(), kMostUnits);
}

AttentionPlan streamed(const AttentionShape& shape, int row_tiles) {
  AttentionShape long_one = shape;
  long_one.keys = 4096;  // never resident
  AttentionPlan plan = *plan_attention(long_one, kTiny);
  for (const GpuLimits& gpu : {kTiny, kSmall}) {
    for (const int queries : {shape.queries, 64, 4096}) {
      long_one.queries = queries;
      const AttentionPlan other = *plan_attention(long_one, gpu);
      if (other.row_tiles == row_tiles) plan = other;
    }
  }
  plan.blocks = (shape.queries + plan.tile_queries() - 1) / plan.tile_queries();
  return plan;
}

class AttentionKernel : public testing::TestWithParam<int> {};

TEST_P(AttentionKernel, StreamedIsRightForAnyLength) {
  const int head_dim = GetParam();
  std::mt19937 random(static_cast<uint32_t>(head_dim));
  const auto pick = [&](int most) { return std::uniform_int_distribution<int>(1, most)(random); };
  for (const int row_tiles : {1, 2}) {
    const AttentionPlan plan = streamed({1, 1, 1, 1, head_dim}, row_tiles);
    if (plan.row_tiles != row_tiles) continue;  // no such kernel
    expect_right<Half>({1, 1, 1, 1, head_dim}, plan);
    for (const int batch : {1, 2, 3}) {  // a key less than a tile, a tile, a key more
      const AttentionShape shape{batch, 1 + batch % 2, 35 * batch, plan.tile_keys + batch - 2, head_dim};
      expect_right<Half>(shape, streamed(shape, row_tiles));
      expect_right<Bfloat16>(shape, streamed(shape, row_tiles));
    }
    for (int round = 0; round < 3; ++round) {
      const AttentionShape shape{pick(3), pick(2), pick(300), pick(300), head_dim};
      expect_right<Half>(shape, streamed(shape, row_tiles));
      const AttentionShape other{pick(2), pick(2), pick(150), pick(300), head_dim};
      expect_right<Bfloat16>(other, streamed(other, row_tiles));
    }
  }
}

TEST_P(AttentionKernel, ResidentIsRightForEveryKeyCount) {
  const int head_dim = GetParam();
  std::mt19937 random(static_cast<uint32_t>(head_dim));
  const auto pick = [&](int most) { return std::uniform_int_distribution<int>(1, most)(random); };
  struct Keys {
    int batch;
    int count;
  };
  for (const int tile : {80, 160, 240}) {
    if (tile > 80 && head_dim >= 128) continue;  // no such kernel
    for (const Keys& keys : {Keys{1, tile - 79}, {2, tile - 1}, {3, tile}, {pick(2), 77 * (tile / 80)}}) {
      const AttentionShape shape{keys.batch, pick(2), pick(200), keys.count, head_dim};
      AttentionPlan plan = *plan_attention(shape, kSmall);
      ASSERT_EQ(plan.kind, AttentionKind::kResident);
      ASSERT_EQ(plan.tile_keys, tile);
      plan.blocks = std::min(plan.blocks, 2);  // so that a block walks over several tiles of queries
      expect_right<Half>(shape, plan);
      expect_right<Bfloat16>(shape, plan);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(HeadDims, AttentionKernel, testing::Values(40, 64, 80, 128, 160));

TEST(AttentionKernel, LargeScoresDoNotOverflow) {
  for (const float scale : {0.0F, 30.0F, 200.0F}) {
    const AttentionShape shape{1, 1, 70, 130, 64};
    expect_right<Half>(shape, streamed(shape, 1), scale);
    expect_right<Bfloat16>(shape, streamed(shape, 2), scale);
    const AttentionShape cross{1, 1, 70, 77, 64};
    expect_right<Half>(cross, *plan_attention(cross, kSmall), scale);
  }
}

TEST(AttentionKernel, EqualHugeScoresAreEqualWeights) {
  for (const float size : {100.0F, 1000.0F, 60000.0F}) {
    for (const int keys : {77, 1000}) {
      const AttentionShape shape{1, 1, 65, keys, 64};
      const AttentionPlan plan = keys == 77 ? *plan_attention(shape, kSmall) : streamed(shape, 2);
      const double error = equal_scores_error(Problem<Half>(shape), size,
                                              [&](Problem<Half>& problem) { return run(problem, plan); });
      EXPECT_LT(error, kMostUnits) << size << " " << keys;
    }
  }
}

template <class T>
void expect_infinities_right(const AttentionShape& shape, const AttentionPlan& plan) {
  const auto planned = [&](Problem<T>& problem) { return run(problem, plan); };
  for (const int one : {0, shape.keys - 1}) {  // in the first tile and in the last
    EXPECT_TRUE(infinities_are_right(Problem<T>(shape), one, planned)) << one;
  }
}

TEST(AttentionKernel, InfiniteScores) {
  const AttentionShape shape{1, 2, 5, 130, 64};
  for (const int row_tiles : {1, 2}) {
    expect_infinities_right<Half>(shape, streamed(shape, row_tiles));
    expect_infinities_right<Bfloat16>(shape, streamed(shape, row_tiles));
  }
  const AttentionShape cross{1, 2, 5, 77, 64};
  expect_infinities_right<Half>(cross, *plan_attention(cross, kSmall));
  expect_infinities_right<Bfloat16>(cross, *plan_attention(cross, kSmall));
}

TEST(AttentionPlan, FitsEveryGpuAndShape) {
  const std::vector<GpuLimits> gpus{{108, 163 * 1024, 164 * 1024},  // A100
                                    {84, 99 * 1024, 100 * 1024},    // RTX 3090
                                    {128, 99 * 1024, 100 * 1024},   // RTX 4090
                                    {132, 227 * 1024, 228 * 1024},  // H100, H200
                                    {170, 99 * 1024, 100 * 1024}};  // RTX 5090
  for (const GpuLimits& gpu : gpus) {
    for (const int head_dim : {40, 64, 80, 128, 160}) {
      for (const int keys : {1, 77, 154, 231, 308, 1024, 65536}) {
        for (const int queries : {1, 64, 256, 1024, 4096, 65536}) {
          const auto plan = plan_attention({2, 8, queries, keys, head_dim}, gpu);
          ASSERT_TRUE(plan);
          EXPECT_LE(plan->shared_bytes, gpu.shared_bytes_a_block);
          EXPECT_GE(plan->blocks, 1);
          EXPECT_EQ(plan->kind == AttentionKind::kResident, keys <= (head_dim >= 128 ? 80 : 240)) << head_dim;
          if (plan->kind == AttentionKind::kStreamed) {
            EXPECT_GE(plan->blocks * plan->tile_queries(), queries);
          }
        }
      }
    }
  }
  EXPECT_FALSE(plan_attention({1, 1, 16, 16, 48}, gpus[0]));
  for (const AttentionShape& nothing :
       {AttentionShape{0, 1, 1, 1, 64}, {1, 0, 1, 1, 64}, {1, 1, 0, 1, 64}, {1, 1, 1, 0, 64}})
    EXPECT_FALSE(plan_attention(nothing, gpus[0]));
}

TEST(AttentionPlan, TilesFollowTheNumberOfMultiprocessors) {
  const GpuLimits h200{132, 227 * 1024, 228 * 1024};
  EXPECT_EQ(plan_attention({2, 8, 4096, 4096, 40}, h200)->row_tiles, 2);  // many blocks: large tiles
  EXPECT_EQ(plan_attention({2, 8, 256, 256, 80}, h200)->row_tiles, 1);    // few: small ones
}

}  // namespace
}  // namespace brume::kernels

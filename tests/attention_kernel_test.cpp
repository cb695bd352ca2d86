#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/attention_instances.h"

// The attention kernels' own source, run on the CPU, against float64 formulas.
namespace brume::kernels {
namespace {

using device::Bfloat16;
using device::Half;
using device::host::Report;

/// A tensor [batch, tokens, heads, head_dim] inside a larger one, as a projection leaves it.
template <class T>
struct Packed {
  std::vector<T> storage;
  TokenStrides strides;
  int64_t offset;

  Packed(const AttentionShape& shape, int tokens, int parts, int part) {
    const int64_t width = int64_t{shape.heads} * shape.head_dim;
    strides = {tokens * width * parts, width * parts, shape.head_dim};
    offset = part * width;
    // No element beyond the last that may be read, so that the address sanitizer sees the next.
    storage.resize(static_cast<size_t>((int64_t{shape.batch} * tokens - 1) * width * parts + offset + width));
  }
  T* first() { return storage.data() + offset; }
  T& at(int picture, int token, int head, int i) {
    return first()[picture * strides.picture + token * strides.token + head * strides.head + i];
  }
};

template <class T>
struct Problem {
  AttentionShape shape;
  Packed<T> q;
  Packed<T> k;
  Packed<T> v;
  Packed<T> out;

  explicit Problem(const AttentionShape& of)
      : shape(of),
        q(of, of.queries, 3, 1),
        k(of, of.keys, 2, 0),
        v(of, of.keys, 2, 1),
        out(of, of.queries, 1, 0) {}

  void fill(uint32_t seed, float scale) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    for (auto* tensor : {&q, &k, &v})
      for (T& x : tensor->storage) x = device::from_float<T>(normal(random) * scale);
    for (T& x : out.storage) x = device::from_float<T>(std::numeric_limits<float>::quiet_NaN());
  }

  AttentionParams params() {
    constexpr double kLog2E = 1.4426950408889634;
    return {q.first(),
            k.first(),
            v.first(),
            out.first(),
            q.strides,
            k.strides,
            v.strides,
            out.strides,
            shape.queries,
            shape.keys,
            static_cast<float>(kLog2E / std::sqrt(double{1} * shape.head_dim))};
  }

  Report run(const AttentionPlan& plan) {
    Report report;
    const AttentionParams parameters = params();
    EXPECT_TRUE(visit_attention<T>(plan, [&]<class Kernel>() {
      EXPECT_EQ(plan.shared_bytes, Kernel::kSharedBytes);
      report = device::host::run_grid({.x = plan.blocks,
                                       .y = shape.heads,
                                       .z = shape.batch,
                                       .threads = 128,
                                       .shared_bytes = Kernel::kSharedBytes},
                                      [&] { Kernel::run(parameters); });
    }));
    return report;
  }

  /// The largest error, in units of what rounding the weights and the result to T can do.
  double worst_error() {
    const double unit = std::is_same_v<T, Half> ? 0x1p-11 : 0x1p-8;
    double worst = 0;
    for (int n = 0; n < shape.batch; ++n) {
      for (int head = 0; head < shape.heads; ++head) {
        for (int token = 0; token < shape.queries; ++token)
          worst = std::max(worst, row_error(n, head, token, unit));
      }
    }
    return worst;
  }

 private:
  double row_error(int n, int head, int token, double unit) {
    std::vector<double> weights(static_cast<size_t>(shape.keys));
    double peak = -std::numeric_limits<double>::infinity();
    for (int key = 0; key < shape.keys; ++key) {
      double dot = 0;
      for (int i = 0; i < shape.head_dim; ++i)
        dot += double{to_float(q.at(n, token, head, i))} * double{to_float(k.at(n, key, head, i))};
      weights[static_cast<size_t>(key)] = dot / std::sqrt(double{1} * shape.head_dim);
      peak = std::max(peak, weights[static_cast<size_t>(key)]);
    }
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - peak);
    double worst = 0;
    for (int i = 0; i < shape.head_dim; ++i) {
      double wanted = 0;
      double magnitude = 0;
      for (int key = 0; key < shape.keys; ++key) {
        const double value =
            weights[static_cast<size_t>(key)] / sum * double{to_float(v.at(n, key, head, i))};
        wanted += value;
        magnitude += std::abs(value);
      }
      const double error = std::abs(double{to_float(out.at(n, token, head, i))} - wanted);
      if (!(error >= 0)) return std::numeric_limits<double>::infinity();
      worst = std::max(worst, error / (unit * (magnitude + 1e-3)));
    }
    return worst;
  }
};

/// Limits under which every compiled kernel may be chosen.
constexpr GpuLimits kSmall{84, 99 * 1024, 100 * 1024};
constexpr GpuLimits kTiny{1, 99 * 1024, 100 * 1024};

// Rounding the weights and the result costs at most one unit each, the exponentials of large scores a little
// more.
constexpr double kMostUnits = 3;

template <class T>
void expect_right(const AttentionShape& shape, const AttentionPlan& plan, float scale = 1) {
  SCOPED_TRACE(testing::Message() << "d " << shape.head_dim << ", " << shape.batch << "x" << shape.heads
                                  << ", " << shape.queries << " queries, " << shape.keys
                                  << " keys, row tiles " << plan.row_tiles << ", tile keys "
                                  << plan.tile_keys);
  Problem<T> problem(shape);
  problem.fill(static_cast<uint32_t>(shape.queries * 1000 + shape.keys), scale);
  const Report report = problem.run(plan);
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
    expect_right<Half>({1, 1, 1, 1, head_dim}, streamed({1, 1, 1, 1, head_dim}, row_tiles));
    for (int round = 0; round < 4; ++round) {
      const AttentionShape shape{pick(3), pick(2), pick(300), pick(300), head_dim};
      expect_right<Half>(shape, streamed(shape, row_tiles));
      const AttentionShape other{1, pick(2), pick(150), pick(300), head_dim};
      expect_right<Bfloat16>(other, streamed(other, row_tiles));
    }
  }
}

TEST_P(AttentionKernel, ResidentIsRightForEveryKeyCount) {
  const int head_dim = GetParam();
  std::mt19937 random(static_cast<uint32_t>(head_dim));
  const auto pick = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (const int keys : {1, 77, 80, 81, 154, 160, 231, 240, pick(2, 76), pick(82, 159), pick(161, 239)}) {
    const AttentionShape shape{pick(1, 2), pick(1, 2), pick(1, 300), keys, head_dim};
    AttentionPlan plan = *plan_attention(shape, kSmall);
    if (plan.kind != AttentionKind::kResident) continue;
    plan.blocks = std::min(plan.blocks, 2);  // so that a block walks over several tiles of queries
    expect_right<Half>(shape, plan);
    expect_right<Bfloat16>(shape, plan);
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

TEST(AttentionKernel, InfiniteScores) {
  const AttentionShape shape{1, 1, 5, 130, 64};
  for (const int far : {0, 129}) {  // the only key with a finite score is in the first or in the last tile
    Problem<Half> problem(shape);
    problem.fill(1, 1);
    for (int i = 0; i < shape.head_dim; ++i) {
      for (int token = 0; token < shape.queries; ++token)
        problem.q.at(0, token, 0, i) = device::from_float<Half>(1);
      for (int key = 0; key < shape.keys; ++key) {
        const float value = key == far ? 1 : -std::numeric_limits<float>::infinity();
        problem.k.at(0, key, 0, i) = device::from_float<Half>(value);
      }
    }
    ASSERT_TRUE(problem.run(streamed(shape, 1)).faults.empty());
    for (int token = 0; token < shape.queries; ++token) {
      for (int i = 0; i < shape.head_dim; ++i)
        EXPECT_EQ(problem.out.at(0, token, 0, i).bits, problem.v.at(0, far, 0, i).bits) << far;
    }
  }
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
}

TEST(AttentionPlan, TilesFollowTheNumberOfMultiprocessors) {
  const GpuLimits h200{132, 227 * 1024, 228 * 1024};
  EXPECT_EQ(plan_attention({2, 8, 4096, 4096, 40}, h200)->row_tiles, 2);  // many blocks: large tiles
  EXPECT_EQ(plan_attention({2, 8, 256, 256, 80}, h200)->row_tiles, 1);    // few: small ones
}

}  // namespace
}  // namespace brume::kernels

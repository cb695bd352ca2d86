#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/hopper_block.h"

// The host body of a warp group's products: that they are the matrix products, wherever their factors lie,
// and that it sees what a GPU would not forgive.
namespace brume::kernels::device {
namespace {

constexpr int kRightAt = 8 << 10;  // bytes; the left factor lies before it

/// Loads panels of `source` one behind the other, and waits.
void load_panels(const Source& source, int rows, int to, Swizzle swizzle, int phase) {
  const TensorMap map = source.map(rows, swizzle);
  const int panels = ceil_div(source.columns, map.columns);
  if (thread() == 0) {
    mbarrier_arrive_expect(kBarrier, panels * map.bytes());
    for (int panel = 0; panel < panels; ++panel)
      copy_tile_async(Bytes(to + panel * map.bytes()), map, {panel * map.columns, 0, 0, 0}, kBarrier);
  }
  mbarrier_wait(kBarrier, phase);
  block_barrier();  // nobody may still wait for this phase when the next one ends
}

/// d [64, kColumns] = a b^T over a depth of 16: both factors from shared memory.
template <int kColumns>
void multiply_rows(const Source& a, const Source& b, Swizzle swizzle, std::vector<float>& result) {
  start();
  load_panels(a, 64, 0, swizzle, 0);
  load_panels(b, kColumns, kRightAt, swizzle, 1);
  float d[kColumns / 2] = {};
  const int stride = 8 * swizzle_row_bytes(swizzle);
  // Without a swizzle a panel is one chunk wide, and the next follows after all rows.
  const uint64_t left = describe_matrix(Bytes(0), 64 * 16, stride, swizzle);
  const uint64_t right = describe_matrix(Bytes(kRightAt), kColumns * 16, stride, swizzle);
  group_fence();
  group_multiply<Half, kColumns>(d, left, right, 0);
  group_commit();
  group_wait<0>(d);
  for (int i = 0; i < kColumns / 2; ++i) {
    const Place at = group_accumulator_place(thread(), i);
    result[static_cast<size_t>(at.row * kColumns + at.column)] = d[i];
  }
}

TEST(GroupProduct, OfRowsInSharedMemoryIsTheMatrixProduct) {
  constexpr int kColumns = 40;
  const Source a(64, 16);
  const Source b(kColumns, 16);
  for (const Swizzle swizzle : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128}) {
    std::vector<float> result(64 * kColumns);
    const host::Report report =
        host::run_grid(kOneGroup, [&] { multiply_rows<kColumns>(a, b, swizzle, result); });
    ASSERT_TRUE(report.faults.empty()) << report.faults.front();
    EXPECT_EQ(report.bank_conflicts, 0);
    for (int row = 0; row < 64; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        float sum = 0;
        for (int k = 0; k < 16; ++k) sum += a.at(row, k) * b.at(column, k);
        EXPECT_NEAR(result[static_cast<size_t>(row * kColumns + column)], sum, 1e-4) << row << " " << column;
      }
    }
  }
}

/// d [64, kColumns] = 1 + a b over a depth of 16: a from registers, b [16, kColumns] across.
template <int kColumns>
void multiply_columns(const Source& a, const Source& b, Swizzle swizzle, std::vector<float>& result) {
  start();
  load_panels(b, 16, 0, swizzle, 0);
  uint32_t left[4];
  for (int i = 0; i < 4; ++i) {
    const Place low = group_left_place(thread(), i, 0);
    left[i] = pack<Half>(a.at(low.row, low.column), a.at(low.row, low.column + 1));
  }
  float d[kColumns / 2];
  std::fill(d, d + kColumns / 2, 1.0F);
  const int row_bytes = swizzle_row_bytes(swizzle);
  const bool plain = swizzle == Swizzle::kNone;
  const uint64_t right = describe_matrix(Bytes(0), plain ? 8 * row_bytes : 16 * row_bytes,
                                         plain ? 16 * row_bytes : 8 * row_bytes, swizzle);
  group_fence();
  group_multiply<Half, kColumns>(d, left, right, 1);
  group_commit();
  group_wait<0>(d);
  for (int i = 0; i < kColumns / 2; ++i) {
    const Place at = group_accumulator_place(thread(), i);
    result[static_cast<size_t>(at.row * kColumns + at.column)] = d[i];
  }
}

TEST(GroupProduct, OfColumnsInSharedMemoryIsTheMatrixProduct) {
  constexpr int kColumns = 80;
  const Source a(64, 16);
  const Source b(16, kColumns);
  for (const Swizzle swizzle : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128}) {
    std::vector<float> result(64 * kColumns);
    const std::string fault = fault_of(kOneGroup, [&] { multiply_columns<kColumns>(a, b, swizzle, result); });
    ASSERT_EQ(fault, "") << swizzle_row_bytes(swizzle);
    for (int row = 0; row < 64; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        float sum = 1;
        for (int k = 0; k < 16; ++k) sum += a.at(row, k) * b.at(k, column);
        EXPECT_NEAR(result[static_cast<size_t>(row * kColumns + column)], sum, 1e-4) << row << " " << column;
      }
    }
  }
}

/// What a careless kernel leaves out or does too early.
enum class Slip {
  kNone,
  kNoCopyWait,
  kNoFence,
  kNoWait,
  kOneTooMany,
  kAccumulatorTouched,
  kEarlyOverwrite,
  kUnfencedStore,
  kDifferentMatrices
};

/// One product of a tile that a copy brings, with a slip. Gives the first accumulator of thread 0 in `seen`.
void multiply_with(Slip slip, const Source& source, float* seen) {
  start();
  const TensorMap map = source.map(64, Swizzle::k128);
  load(map);
  if (slip != Slip::kNoCopyWait) mbarrier_wait(kBarrier, 0);
  if (slip == Slip::kUnfencedStore) {
    if (thread() == 64) Shared<Half>(0).store({});
    block_barrier();
  }
  float d[8] = {};
  const int from = slip == Slip::kDifferentMatrices ? warp() * 32 : 0;
  const uint64_t tile = describe_matrix(Bytes(from), 16, 1024, Swizzle::k128);
  if (slip != Slip::kNoFence) group_fence();
  group_multiply<Half, 16>(d, tile, tile, 0);
  group_commit();
  if (slip == Slip::kAccumulatorTouched) d[3] = 1;
  if (slip == Slip::kEarlyOverwrite) {
    block_barrier();
    if (thread() == 0) load(map);
  }
  if (slip == Slip::kOneTooMany) group_wait<1>(d);
  if (slip != Slip::kNoWait) group_wait<0>(d);
  if (thread() == 0) *seen = d[0];
}

TEST(GroupProduct, SlipsAreSeen) {
  const Source source(64, 64);
  float seen = 0;
  const auto fault = [&](Slip slip) {
    return fault_of(kOneGroup, [&, slip] { multiply_with(slip, source, &seen); });
  };
  float wanted = 0;
  for (int k = 0; k < 16; ++k) wanted += source.at(0, k) * source.at(0, k);
  EXPECT_EQ(fault(Slip::kNone), "");
  EXPECT_NEAR(seen, wanted, 1e-4);
  // A result that is used before its wait is no number.
  EXPECT_EQ(fault(Slip::kNoWait), "");
  EXPECT_TRUE(std::isnan(seen));
  expect_fault(fault(Slip::kNoCopyWait), "on its way");
  expect_fault(fault(Slip::kNoFence), "no fence since the last wait");
  expect_fault(fault(Slip::kOneTooMany), "leaves its accumulator at work");
  expect_fault(fault(Slip::kAccumulatorTouched), "written while a product is at work");
  expect_fault(fault(Slip::kEarlyOverwrite), "on its way");
  expect_fault(fault(Slip::kUnfencedStore), "did not fence for the asynchronous proxy");
  expect_fault(fault(Slip::kDifferentMatrices), "different products");
}

TEST(GroupProduct, AStageReleasedBeforeTheWaitIsARace) {
  const Source source(64, 64);
  const auto use_twice = [&](bool early) {
    return fault_of({.threads = 256, .shared_bytes = kSharedBytes}, [&, early] {
      const TensorMap map = source.map(64, Swizzle::k128);
      if (thread() == 0) {
        mbarrier_init(kBarrier, 1);
        mbarrier_init(kOther, 4);
        fence_async_proxy();
      }
      block_barrier();
      if (warp_group() == 1) {  // the producer
        if (thread() != 128) return;
        for (int round = 0; round < 2; ++round) {
          mbarrier_wait(kOther, 1 - round);
          mbarrier_arrive_expect(kBarrier, map.bytes());
          copy_tile_async(Bytes(0), map, {0, 0, 0, 0}, kBarrier);
        }
        return;
      }
      float d[8] = {};
      mbarrier_wait(kBarrier, 0);
      const uint64_t tile = describe_matrix(Bytes(0), 16, 1024, Swizzle::k128);
      group_fence();
      group_multiply<Half, 16>(d, tile, tile, 0);
      group_commit();
      if (early && lane() == 0) mbarrier_arrive(kOther);
      group_wait<0>(d);
      if (!early && lane() == 0) mbarrier_arrive(kOther);
    });
  };
  EXPECT_EQ(use_twice(false), "");
  EXPECT_NE(use_twice(true), "");
}

}  // namespace
}  // namespace brume::kernels::device

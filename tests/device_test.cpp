#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/device/device.h"

// The vocabulary's host body: that it computes what the instructions do, and that it sees what a GPU would
// not forgive.
namespace brume::kernels::device {
namespace {

using host::Launch;
using host::Report;
using host::run_grid;

std::string fault_of(const Launch& launch, const std::function<void()>& kernel) {
  const Report report = run_grid(launch, kernel);
  return report.faults.empty() ? "" : report.faults.front();
}

TEST(Fragments, FollowTheManualsTables) {
  // PTX ISA 9.0, 9.7.14.5.8: "groupID = laneid >> 2, threadID_in_group = laneid % 4", written out for three
  // lanes.
  struct Row {
    int lane;
    std::array<Place, 8> left;
    std::array<Place, 4> right;
    std::array<Place, 4> accumulator;
  };
  const std::vector<Row> rows{
      {0,
       {{{0, 0}, {0, 1}, {8, 0}, {8, 1}, {0, 8}, {0, 9}, {8, 8}, {8, 9}}},
       {{{0, 0}, {1, 0}, {8, 0}, {9, 0}}},
       {{{0, 0}, {0, 1}, {8, 0}, {8, 1}}}},
      {6,
       {{{1, 4}, {1, 5}, {9, 4}, {9, 5}, {1, 12}, {1, 13}, {9, 12}, {9, 13}}},
       {{{4, 1}, {5, 1}, {12, 1}, {13, 1}}},
       {{{1, 4}, {1, 5}, {9, 4}, {9, 5}}}},
      {31,
       {{{7, 6}, {7, 7}, {15, 6}, {15, 7}, {7, 14}, {7, 15}, {15, 14}, {15, 15}}},
       {{{6, 7}, {7, 7}, {14, 7}, {15, 7}}},
       {{{7, 6}, {7, 7}, {15, 6}, {15, 7}}}},
  };
  const auto same = [](const Place& a, const Place& b) { return a.row == b.row && a.column == b.column; };
  for (const Row& row : rows) {
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(same(left_place(row.lane, i / 2, i % 2), row.left[static_cast<size_t>(i)]))
          << row.lane << " " << i;
    }
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(same(right_place(row.lane, i / 2, i % 2), row.right[static_cast<size_t>(i)])) << row.lane;
      EXPECT_TRUE(same(accumulator_place(row.lane, i), row.accumulator[static_cast<size_t>(i)])) << row.lane;
    }
  }
}

template <int kChunks>
void expect_conflict_free() {
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    std::vector<std::pair<int, int>> accesses;
    for (int row = 0; row < 8; ++row) accesses.emplace_back(16 * swizzled_chunk<kChunks>(row, chunk), 16);
    EXPECT_EQ(host::extra_passes(accesses), 0) << kChunks << " chunks, chunk " << chunk;
  }
  std::vector<bool> used(static_cast<size_t>(8 * kChunks));
  for (int row = 0; row < 8; ++row) {
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const int place = swizzled_chunk<kChunks>(row, chunk);
      ASSERT_TRUE(place >= row * kChunks && place < (row + 1) * kChunks);
      EXPECT_FALSE(used[static_cast<size_t>(place)]);
      used[static_cast<size_t>(place)] = true;
    }
  }
}

TEST(Swizzle, EveryRowWidthIsFreeOfConflictsAndAPermutation) {
  expect_conflict_free<5>();
  expect_conflict_free<6>();
  expect_conflict_free<8>();
  expect_conflict_free<10>();
  expect_conflict_free<16>();
  expect_conflict_free<20>();
}

TEST(Numbers, HalfGoesThereAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) continue;
    EXPECT_EQ(from_float<Half>(value).bits, half.bits) << bits;
  }
  EXPECT_EQ(from_float<Half>(2049.0F).bits, from_float<Half>(2048.0F).bits);  // ties to even
  EXPECT_EQ(from_float<Half>(2051.0F).bits, from_float<Half>(2052.0F).bits);
  EXPECT_EQ(from_float<Half>(65519.0F).bits, 0x7BFF);
  EXPECT_EQ(from_float<Half>(65520.0F).bits, 0x7C00);
  EXPECT_EQ(from_float<Half>(0x1p-25F).bits, 0);
  EXPECT_EQ(from_float<Half>(0x1.8p-25F).bits, 1);
  EXPECT_EQ(from_float<Bfloat16>(1.00390625F).bits, 0x3F80);
  EXPECT_EQ(from_float<Bfloat16>(1.01171875F).bits, 0x3F82);
}

TEST(Numbers, FunctionsAreTheirs) {
  EXPECT_FLOAT_EQ(exponential(-1.5F), 0.22313016F);
  EXPECT_FLOAT_EQ(sine_fast(2.5F), 0.59847214F);
  EXPECT_FLOAT_EQ(cosine_fast(2.5F), -0.80114362F);
  EXPECT_EQ(nearest_integer(2.5F), 2);  // ties to even
  EXPECT_EQ(nearest_integer(-3.6F), -4);
}

TEST(Matrices, ProductOfLoadedTilesIsTheMatrixProduct) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<Half> a(16 * 16);
  std::vector<Half> b(16 * 8);  // [k][n]
  for (Half& x : a) x = from_float<Half>(uniform(random));
  for (Half& x : b) x = from_float<Half>(uniform(random));
  std::vector<float> d(16 * 8);
  const Report report = run_grid({.threads = 32, .shared_bytes = 768}, [&] {
    const Shared<Half> left = shared_memory().as<Half>();
    const Shared<Half> right = left + 256;
    copy_async_16(left + lane() * 8, &a[static_cast<size_t>(lane() * 8)], 16);
    if (lane() < 16) copy_async_16(right + lane() * 8, &b[static_cast<size_t>(lane() * 8)], 16);
    copy_async_commit();
    copy_async_wait<0>();
    warp_barrier();
    uint32_t x[4];
    uint32_t y[2];
    load_matrices_4(x, left + (lane() % 16) * 16 + lane() / 16 * 8);
    load_matrices_2_transposed(y, right + (lane() % 16) * 8);
    float sum[4] = {};
    multiply_16_8_16<Half>(sum, x, y);
    for (int i = 0; i < 4; ++i) {
      const Place place = accumulator_place(lane(), i);
      d[static_cast<size_t>(place.row * 8 + place.column)] = sum[i];
    }
  });
  EXPECT_TRUE(report.faults.empty()) << report.faults.front();
  EXPECT_EQ(report.matrix_products, 1);
  for (size_t m = 0; m < 16; ++m) {
    for (size_t n = 0; n < 8; ++n) {
      double sum = 0;
      for (size_t k = 0; k < 16; ++k)
        sum += double{to_float(a[m * 16 + k])} * double{to_float(b[k * 8 + n])};
      EXPECT_NEAR(d[m * 8 + n], sum, 1e-5);
    }
  }
}

TEST(Faults, AreSeen) {
  const Launch two_warps{.threads = 64, .shared_bytes = 256};
  const Shared<float> floats(0);
  alignas(16) const std::array<Half, 512> source{};
  EXPECT_NE(fault_of(two_warps, [&] { floats.load(); }).find("never written"), std::string::npos);
  EXPECT_NE(fault_of(two_warps, [&] { (floats + 64).store(1); }).find("which has 256"), std::string::npos);
  EXPECT_NE(fault_of(two_warps, [&] { Shared<float>(2).store(1); }).find("not aligned"), std::string::npos);
  EXPECT_NE(fault_of(two_warps, [&] { floats.store(1); }).find("race"), std::string::npos);
  // Written by one, read by another without and with a barrier.
  const auto exchange = [&](bool ordered) {
    return fault_of(two_warps, [&, ordered] {
      (floats + thread()).store(1);
      if (ordered) block_barrier();
      (floats + (63 - thread())).load();
    });
  };
  EXPECT_NE(exchange(false), "");
  EXPECT_EQ(exchange(true), "");
  // Read by one, then written by another.
  const auto overwrite = [&](bool ordered) {
    return fault_of(two_warps, [&, ordered] {
      (floats + thread()).store(1);
      block_barrier();
      (floats + (63 - thread())).load();
      if (ordered) block_barrier();
      (floats + thread()).store(2);
    });
  };
  EXPECT_NE(overwrite(false).find("race"), std::string::npos);
  EXPECT_EQ(overwrite(true), "");
  // Copies.
  const auto copied = [&](int what) {
    return fault_of({.threads = 32, .shared_bytes = 512}, [&, what] {
      const Shared<Half> to = Shared<Half>(0) + lane() * 8;
      copy_async_16(to, &source[static_cast<size_t>(lane() * 8)], 16);
      copy_async_commit();
      if (what == 0) copy_async_wait<0>();
      if (what == 1) copy_async_wait<1>();
      to.load();
    });
  };
  EXPECT_EQ(copied(0), "");
  EXPECT_NE(copied(1).find("on its way"), std::string::npos);
  EXPECT_NE(fault_of(two_warps, [&] { copy_async_16(Shared<Half>(0), &source[1], 16); }).find("not aligned"),
            std::string::npos);
  // Meetings that do not happen.
  EXPECT_NE(fault_of(two_warps,
                     [&] {
                       if (thread() < 40) block_barrier();
                     })
                .find("deadlock"),
            std::string::npos);
  EXPECT_NE(fault_of(two_warps,
                     [&] {
                       if (lane() < 16) {
                         warp_barrier();
                       } else {
                         shuffle(1, 0);
                       }
                     })
                .find("not together"),
            std::string::npos);
}

TEST(Faults, ANamedBarrierOrdersItsOwnWarpsAlone) {
  const Shared<float> floats(0);
  const auto exchange = [&](int count) {
    return fault_of({.threads = 96, .shared_bytes = 512}, [&, count] {
      (floats + thread()).store(1);
      if (thread() < count) named_barrier(1, count);
      if (thread() < 96) (floats + (95 - thread())).load();
    });
  };
  EXPECT_NE(exchange(64).find("race"), std::string::npos);
  EXPECT_EQ(exchange(96), "");
}

TEST(Conflicts, AreCounted) {
  const auto conflicts = [](int stride) {
    return run_grid({.threads = 32, .shared_bytes = 8192},
                    [stride] {
                      (Shared<float>(0) + lane() * stride).store(1);
                      warp_barrier();
                    })
        .bank_conflicts;
  };
  EXPECT_EQ(conflicts(1), 0);
  EXPECT_EQ(conflicts(2), 1);
  EXPECT_EQ(conflicts(32), 31);
  EXPECT_EQ(conflicts(33), 0);
}

TEST(Blocks, ABarrierAmongThemNeedsThemTogether) {
  std::vector<int> seen(4);
  unsigned counter = 0;
  const auto kernel = [&] {
    if (thread() == 0) {
      seen[static_cast<size_t>(block_x())] = 1;
      global_arrive(&counter);
      global_wait(&counter, 4);
      for (const int each : seen) EXPECT_EQ(each, 1);
    }
  };
  EXPECT_NE(fault_of({.x = 4, .threads = 32}, kernel).find("deadlock"), std::string::npos);
  counter = 0;
  EXPECT_EQ(fault_of({.x = 4, .threads = 32, .residency = host::Residency::kTogether}, kernel), "");
}

}  // namespace
}  // namespace brume::kernels::device

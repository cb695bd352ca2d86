#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "kernels/device/hopper.h"

// What the tests of hopper.h's host body share: a tensor, a block of one warp group, and its barriers.
namespace brume::kernels::device {

using Bytes = Shared<unsigned char>;

inline std::string fault_of(const host::Launch& launch, const std::function<void()>& kernel) {
  const host::Report report = host::run_grid(launch, kernel);
  return report.faults.empty() ? "" : report.faults.front();
}

/// A tensor [1, rows, 1, columns] of half precision, and boxes of it.
struct Source {
  int rows;
  int columns;
  alignas(16) std::array<Half, 4096> values = {};

  Source(int row_count, int column_count) : rows(row_count), columns(column_count) {
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = from_float<Half>(static_cast<float>(static_cast<int>(i * 7 % 23) - 11) / 8);
  }
  float at(int row, int column) const {
    if (row >= rows || column >= columns) return 0;
    return to_float(values[static_cast<size_t>(row * columns + column)]);
  }
  TensorMap map(int box_rows, Swizzle swizzle) const {
    const int64_t row_bytes = 2 * columns;
    return {values.data(),
            {columns, 1, rows, 1},
            {row_bytes, row_bytes, rows * row_bytes},
            swizzle_row_bytes(swizzle) / 2,
            box_rows,
            swizzle};
  }
};

inline constexpr int kBarrierAt = 24 << 10;
inline constexpr int kSharedBytes = kBarrierAt + 64;
inline constexpr host::Launch kOneGroup{.threads = 128, .shared_bytes = kSharedBytes};
inline const Mbarrier kBarrier(kBarrierAt);
inline const Mbarrier kOther(kBarrierAt + 8);

/// What every kernel of these tests begins with.
inline void start(int arrivals = 1) {
  if (thread() == 0) {
    mbarrier_init(kBarrier, arrivals);
    mbarrier_init(kOther, 1);
    fence_async_proxy();
  }
  block_barrier();
}

inline void load(const TensorMap& map, int to = 0) {
  if (thread() != 0) return;
  mbarrier_arrive_expect(kBarrier, map.bytes());
  copy_tile_async(Bytes(to), map, {0, 0, 0, 0}, kBarrier);
}

inline void expect_fault(const std::string& fault, const std::string& part) {
  EXPECT_NE(fault.find(part), std::string::npos) << "wanted: " << part << "; got: " << fault;
}

}  // namespace brume::kernels::device

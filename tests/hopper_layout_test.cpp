#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "kernels/device/hopper_layout.h"

// Where Hopper's instructions look for their operands, against tables of the PTX ISA manual (its
// sections by number and name; the numbers move between versions).
namespace brume::kernels::device {
namespace {

constexpr std::array kSwizzles = {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128};

TEST(HopperLayout, SwizzlesFollowTheManualsTables) {
  // 5.5.7, "Swizzling modes": each line has 128 bytes, each number is a chunk of 16; the patterns repeat.
  const std::vector<std::array<int, 8>> table128{
      {0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 3, 2, 5, 4, 7, 6}, {2, 3, 0, 1, 6, 7, 4, 5}, {3, 2, 1, 0, 7, 6, 5, 4},
      {4, 5, 6, 7, 0, 1, 2, 3}, {5, 4, 7, 6, 1, 0, 3, 2}, {6, 7, 4, 5, 2, 3, 0, 1}, {7, 6, 5, 4, 3, 2, 1, 0}};
  const std::vector<std::array<int, 8>> table64(table128.begin(), table128.begin() + 4);
  const std::vector<std::array<int, 8>> table32(table128.begin(), table128.begin() + 2);
  const auto expect_table = [](Swizzle swizzle, const std::vector<std::array<int, 8>>& table) {
    for (int line = 0; line < 16; ++line) {
      const auto& row = table[static_cast<size_t>(line) % table.size()];
      for (int place = 0; place < 8; ++place) {
        const int chunk = row[static_cast<size_t>(place)];
        EXPECT_EQ(swizzled(line * 128 + chunk * 16 + 6, swizzle), line * 128 + place * 16 + 6)
            << swizzle_row_bytes(swizzle) << " " << line << " " << place;
      }
    }
  };
  expect_table(Swizzle::k128, table128);
  expect_table(Swizzle::k64, table64);
  expect_table(Swizzle::k32, table32);
  expect_table(Swizzle::kNone, {table128[0]});
}

TEST(HopperLayout, PatternsBeginAtTheManualsBoundaries) {
  // 9.7.15.5.1.2.2: "Starting address of the repeating pattern".
  EXPECT_EQ(swizzle_pattern_bytes(Swizzle::k128), 1024);
  EXPECT_EQ(swizzle_pattern_bytes(Swizzle::k64), 512);
  EXPECT_EQ(swizzle_pattern_bytes(Swizzle::k32), 256);
}

TEST(HopperLayout, DescriptorsFollowTheManualsFormat) {
  // 9.7.15.5.1.2.2, "Matrix descriptor format": bits 13-0 the address, 29-16 and 45-32 the two offsets, all
  // by matrix-descriptor-encode(x) = (x & 0x3FFFF) >> 4; 51-49 the base offset; 63-62 the mode: 0 none, 1:
  // 128 bytes, 2: 64, 3: 32.
  EXPECT_EQ(matrix_descriptor({0, 0, 0, Swizzle::kNone}), 0U);
  EXPECT_EQ(matrix_descriptor({0x400, 0, 0, Swizzle::kNone}), 0x40U);
  EXPECT_EQ(matrix_descriptor({0, 256, 0, Swizzle::kNone}), 0x10ULL << 16);
  EXPECT_EQ(matrix_descriptor({0, 0, 1024, Swizzle::k128}), 1ULL << 62 | 0x40ULL << 32);
  EXPECT_EQ(matrix_descriptor({0, 512, 1024, Swizzle::k64}), 2ULL << 62 | 0x40ULL << 32 | 0x20ULL << 16);
  EXPECT_EQ(matrix_descriptor({0x38000, 16, 256, Swizzle::k32}), 0xC000001000013800ULL);
  for (const Swizzle swizzle : kSwizzles) {
    const MatrixPlace place = matrix_place(matrix_descriptor({0x20400, 4096, 512, swizzle}));
    EXPECT_EQ(place.address, 0x20400);
    EXPECT_EQ(place.leading, 4096);
    EXPECT_EQ(place.stride, 512);
    EXPECT_EQ(place.swizzle, swizzle);
    EXPECT_EQ(matrix_place(advance_matrix(matrix_descriptor({0x400, 16, 64, swizzle}), 96)).address, 0x460);
  }
}

/// An "exact layout" of the manual for 16-bit elements, ((a,b,c),(d,e)):((1,sb,sc),(sd,se)), before its
/// swizzle, in elements.
struct ExactLayout {
  Swizzle swizzle;
  int leading;  // elements, as the manual's tables name them
  int stride;
  std::array<int, 3> across;
  std::array<int, 3> across_strides;
  std::array<int, 2> depth_strides;  // of an element, of eight
};

TEST(HopperLayout, MatricesAcrossFollowTheManualsExamples) {
  // 9.7.15.5.1.2.1.3, "Canonical layouts", the examples for MN-major and bf16. That of 128 bytes continues
  // them by its canonical layout ((T,8,m),(8,k)):((1,T,LBO),(8T,SBO)).
  const std::vector<ExactLayout> layouts{
      {Swizzle::kNone, 128, 64, {8, 1, 2}, {1, 8, 64}, {8, 128}},
      {Swizzle::k32, 128, 256, {8, 2, 2}, {1, 8, 128}, {16, 256}},
      {Swizzle::k64, 256, 512, {8, 4, 2}, {1, 8, 256}, {32, 512}},
      {Swizzle::k128, 512, 1024, {8, 8, 2}, {1, 8, 512}, {64, 1024}},
  };
  for (const ExactLayout& layout : layouts) {
    const MatrixPlace place{2048, 2 * layout.leading, 2 * layout.stride, layout.swizzle};
    const auto& [a, b, c] = layout.across;
    for (int i = 0; i < a * b * c; ++i) {
      for (int k = 0; k < 16; ++k) {
        const int element = i % a * layout.across_strides[0] + i / a % b * layout.across_strides[1] +
                            i / (a * b) * layout.across_strides[2] + k % 8 * layout.depth_strides[0] +
                            k / 8 * layout.depth_strides[1];
        EXPECT_EQ(matrix_byte(place, Major::kAcross, i, k), swizzled(2048 + 2 * element, layout.swizzle))
            << swizzle_row_bytes(layout.swizzle) << " " << i << " " << k;
      }
    }
  }
}

TEST(HopperLayout, MatricesAlongTheDepthFollowTheManualsCanonicalLayouts) {
  // 9.7.15.5.1.2.1.3: ((8,m),(T,2k)):((1T,SBO),(1,LBO)) without a swizzle, ((8,m),(T,2k)):((wT,SBO),(1,T))
  // with one of w chunks; T = 8 elements of 16 bits.
  struct Row {
    Swizzle swizzle;
    int w;
  };
  for (const auto& [swizzle, w] :
       {Row{Swizzle::kNone, 1}, Row{Swizzle::k32, 2}, Row{Swizzle::k64, 4}, Row{Swizzle::k128, 8}}) {
    const MatrixPlace place{4096, 1536, 1024, swizzle};
    for (int i = 0; i < 64; ++i) {
      for (int k = 0; k < 16; ++k) {
        const int next_chunk = swizzle == Swizzle::kNone ? 1536 / 2 : 8;
        const int element = i % 8 * w * 8 + i / 8 * (1024 / 2) + k % 8 + k / 8 * next_chunk;
        EXPECT_EQ(matrix_byte(place, Major::kDepth, i, k), swizzled(4096 + 2 * element, swizzle))
            << w << " " << i << " " << k;
      }
    }
  }
}

TEST(HopperLayout, FragmentsFollowTheManualsFigures) {
  // 9.7.15.5.1.1.1, "Matrix fragments for wgmma.mma_async.m64nNk16": the accumulator ("row = groupID + 16 *
  // (warp % 4), + 8 for every other pair of registers; column = 2 * threadID_in_group + i % 2 + 8 * (i / 4)")
  // and the left factor in registers, written out for four threads.
  struct Row {
    int thread;
    std::array<Place, 6> accumulator;
    std::array<Place, 8> left;
  };
  const std::vector<Row> rows{
      {0,
       {{{0, 0}, {0, 1}, {8, 0}, {8, 1}, {0, 8}, {0, 9}}},
       {{{0, 0}, {0, 1}, {8, 0}, {8, 1}, {0, 8}, {0, 9}, {8, 8}, {8, 9}}}},
      {6,
       {{{1, 4}, {1, 5}, {9, 4}, {9, 5}, {1, 12}, {1, 13}}},
       {{{1, 4}, {1, 5}, {9, 4}, {9, 5}, {1, 12}, {1, 13}, {9, 12}, {9, 13}}}},
      {33,
       {{{16, 2}, {16, 3}, {24, 2}, {24, 3}, {16, 10}, {16, 11}}},
       {{{16, 2}, {16, 3}, {24, 2}, {24, 3}, {16, 10}, {16, 11}, {24, 10}, {24, 11}}}},
      {127,
       {{{55, 6}, {55, 7}, {63, 6}, {63, 7}, {55, 14}, {55, 15}}},
       {{{55, 6}, {55, 7}, {63, 6}, {63, 7}, {55, 14}, {55, 15}, {63, 14}, {63, 15}}}},
  };
  const auto same = [](const Place& a, const Place& b) { return a.row == b.row && a.column == b.column; };
  for (const Row& row : rows) {
    for (int i = 0; i < 6; ++i) {
      EXPECT_TRUE(same(group_accumulator_place(row.thread, i), row.accumulator[static_cast<size_t>(i)]))
          << row.thread << " " << i;
    }
    for (int i = 0; i < 8; ++i) {
      EXPECT_TRUE(same(group_left_place(row.thread, i / 2, i % 2), row.left[static_cast<size_t>(i)]))
          << row.thread << " " << i;
    }
  }
}

}  // namespace
}  // namespace brume::kernels::device

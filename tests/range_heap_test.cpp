#include "brume/base/range_heap.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace brume {
namespace {

using Part = RangeHeap::Part;

TEST(RangeHeap, TakesTheSmallestPartThatFits) {
  RangeHeap heap(1000);
  const uint64_t a = heap.take(100).value();
  const uint64_t b = heap.take(10).value();
  const uint64_t c = heap.take(50).value();
  const uint64_t d = heap.take(10).value();
  EXPECT_EQ((std::vector<uint64_t>{a, b, c, d}), (std::vector<uint64_t>{0, 100, 110, 160}));
  heap.give_back(a);
  heap.give_back(c);
  EXPECT_EQ(heap.take(40).value(), 110U);  // of 100 and 50 free, and the rest behind
  EXPECT_EQ(heap.take(70).value(), 0U);
  EXPECT_EQ(heap.free_parts(), (std::vector<Part>{{70, 30}, {150, 10}, {170, 830}}));
}

TEST(RangeHeap, JoinsNeighboursThatAreFree) {
  for (const std::vector<size_t>& order : {std::vector<size_t>{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 1, 0}}) {
    RangeHeap heap(30);
    std::vector<uint64_t> parts;
    parts.reserve(3);
    for (int i = 0; i < 3; ++i) parts.push_back(heap.take(10).value());
    EXPECT_EQ(heap.take(1), std::nullopt);
    for (const size_t i : order) heap.give_back(parts[i]);
    EXPECT_EQ(heap.free_parts(), (std::vector<Part>{{0, 30}}));
    EXPECT_EQ(heap.take(30), 0U);
  }
}

TEST(RangeHeap, HasNothingInAnEmptyRange) { EXPECT_EQ(RangeHeap(0).take(1), std::nullopt); }

TEST(RangeHeap, NeverGivesAPlaceTwiceAndLosesNone) {
  constexpr uint64_t kSize = 1 << 16;
  RangeHeap heap(kSize);
  std::map<uint64_t, uint64_t> taken;
  std::mt19937 random(1);
  uint64_t in_use = 0;
  for (int i = 0; i < 50000; ++i) {
    const uint64_t size = 1 + random() % 3000;
    if (random() % 2 == 0) {
      const std::optional<uint64_t> first = heap.take(size);
      if (!first) continue;
      ASSERT_LE(*first + size, kSize);
      const auto after = taken.lower_bound(*first);
      ASSERT_TRUE(after == taken.end() || *first + size <= after->first);
      ASSERT_TRUE(after == taken.begin() || std::prev(after)->first + std::prev(after)->second <= *first);
      taken.emplace(*first, size);
      in_use += size;
    } else if (!taken.empty()) {
      const auto one = std::next(taken.begin(), static_cast<long>(random() % taken.size()));
      heap.give_back(one->first);
      in_use -= one->second;
      taken.erase(one);
    }
    uint64_t free = 0;
    uint64_t end = 0;
    for (const Part& part : heap.free_parts()) {
      ASSERT_TRUE(end == 0 || part.first > end);  // neighbours are one
      end = part.first + part.size;
      free += part.size;
    }
    ASSERT_EQ(free + in_use, kSize);
  }
}

}  // namespace
}  // namespace brume

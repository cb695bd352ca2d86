#include "brume/bench/statistics.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace brume::bench {
namespace {

std::vector<double> numbers(int first, int last) {
  std::vector<double> values(static_cast<size_t>(last - first + 1));
  std::iota(values.begin(), values.end(), first);
  return values;
}

// The ranks of the tables of the sign test.
TEST(Statistics, RanksOfTheIntervalAreThoseOfTheTables) {
  EXPECT_EQ(interval_rank(0), std::nullopt);
  EXPECT_EQ(interval_rank(5), std::nullopt);
  EXPECT_EQ(interval_rank(6), 1);
  EXPECT_EQ(interval_rank(8), 1);
  EXPECT_EQ(interval_rank(9), 2);
  EXPECT_EQ(interval_rank(10), 2);
  EXPECT_EQ(interval_rank(20), 6);
  EXPECT_EQ(interval_rank(50), 18);
  EXPECT_EQ(interval_rank(100), 40);
}

TEST(Statistics, KnownSamplesHaveTheKnownInterval) {
  std::vector<double> values = numbers(1, 100);
  std::shuffle(values.begin(), values.end(), std::mt19937(1));
  const Summary summary = summarize(values);
  EXPECT_EQ(summary.count, 100);
  EXPECT_EQ(summary.median, 50.5);
  EXPECT_EQ(summary.least, 1);
  EXPECT_EQ(summary.most, 100);
  ASSERT_TRUE(summary.interval);
  EXPECT_EQ(summary.interval->low, 40);
  EXPECT_EQ(summary.interval->high, 61);
  EXPECT_DOUBLE_EQ(*summary.spread(), 21 / 50.5);
}

TEST(Statistics, FewSamplesHaveAMedianAndNoInterval) {
  const Summary summary = summarize({3, 1, 2});
  EXPECT_EQ(summary.median, 2);
  EXPECT_FALSE(summary.interval);
  EXPECT_FALSE(summary.spread());
  EXPECT_EQ(summarize({}).count, 0);
}

// What the interval is for: of many rows of samples with long tails, 95 % or a few more hold the median.
TEST(Statistics, TheIntervalHoldsTheMedianAsOftenAsItSays) {
  std::mt19937 generator(7);
  std::lognormal_distribution<double> draw(0, 1);  // its median is 1
  int held = 0;
  constexpr int kRows = 2000;
  for (int row = 0; row < kRows; ++row) {
    std::vector<double> values(25);
    for (double& value : values) value = draw(generator);
    const Summary summary = summarize(values);
    held += summary.interval->low <= 1 && 1 <= summary.interval->high ? 1 : 0;
  }
  EXPECT_GT(held, kRows * 94 / 100);
  EXPECT_LT(held, kRows * 98 / 100);
}

TEST(Statistics, RowsCountOnceInTheInterval) {
  std::vector<double> values;
  for (int row = 1; row <= 10; ++row) values.insert(values.end(), {row - 0.5, 1.0 * row, row + 90.0});
  const Summary summary = summarize_rows(values, 3);
  EXPECT_EQ(summary.count, 30);
  EXPECT_EQ(summary.median, 5.5);
  EXPECT_EQ(summary.interval->low, 2);
  EXPECT_EQ(summary.interval->high, 9);
  EXPECT_EQ(summary.least, 0.5);
  EXPECT_EQ(summary.most, 100);
  EXPECT_FALSE(summarize_rows(std::vector<double>(100, 1.0), 20).interval) << "five rows are too few";
  EXPECT_EQ(summarize_rows(std::vector<double>{1, 2, 3, 9}, 3).median, 5.5) << "a row that was cut short";
  EXPECT_EQ(summarize_rows({}, 3).count, 0);
}

TEST(Statistics, DriftIsTheLastThirdAgainstTheFirst) {
  std::vector<double> values(10, 1.0);
  values.resize(20, 5.0);  // what happens in the middle does not count
  values.resize(30, 1.2);
  EXPECT_NEAR(*drift(values), 0.2, 1e-12);
  EXPECT_FALSE(drift(numbers(1, 8)));
}

TEST(Statistics, AHugeRowIsNoTrouble) {
  const int64_t rank = interval_rank(1'000'000).value();
  EXPECT_NEAR(static_cast<double>(rank), 500'000 - 1.96 * 500, 2);
}

}  // namespace
}  // namespace brume::bench

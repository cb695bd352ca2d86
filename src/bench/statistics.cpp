#include "brume/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace brume::bench {

namespace {

double median_of_sorted(std::span<const double> sorted) {
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double median_of(std::span<const double> samples) {
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return median_of_sorted(sorted);
}

/// The probability of exactly `hits` heads in `count` throws of a coin.
double coin(int64_t count, int64_t hits) {
  const auto n = static_cast<double>(count);
  const auto k = static_cast<double>(hits);
  return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) - n * std::log(2.0));
}

}  // namespace

std::optional<double> Summary::spread() const {
  if (!interval || median <= 0) return {};
  return (interval->high - interval->low) / median;
}

std::optional<int64_t> interval_rank(int64_t count) {
  constexpr double kMostOutside = 0.05;  // on both sides together
  int64_t rank = 0;
  double below = 0;
  while (rank < count / 2) {
    below += coin(count, rank);
    if (2 * below > kMostOutside) break;
    ++rank;
  }
  return rank > 0 ? std::optional(rank) : std::nullopt;
}

Summary summarize(std::vector<double> samples) {
  Summary summary;
  summary.count = static_cast<int64_t>(samples.size());
  if (samples.empty()) return summary;
  std::sort(samples.begin(), samples.end());
  summary.median = median_of_sorted(samples);
  summary.least = samples.front();
  summary.most = samples.back();
  if (const std::optional<int64_t> rank = interval_rank(summary.count)) {
    const auto index = static_cast<size_t>(*rank - 1);
    summary.interval = Interval{samples[index], samples[samples.size() - 1 - index]};
  }
  return summary;
}

Summary summarize_rows(std::span<const double> samples, size_t size) {
  if (samples.empty()) return {};
  std::vector<double> medians;
  for (size_t i = 0; i < samples.size(); i += std::max<size_t>(size, 1))
    medians.push_back(median_of(samples.subspan(i, std::min(std::max<size_t>(size, 1), samples.size() - i))));
  Summary summary = summarize(std::move(medians));
  summary.count = static_cast<int64_t>(samples.size());
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  summary.least = *least;
  summary.most = *most;
  return summary;
}

std::optional<double> drift(std::span<const double> samples) {
  constexpr size_t kLeast = 9;
  if (samples.size() < kLeast) return {};
  const size_t third = samples.size() / 3;
  const double before = median_of(samples.first(third));
  return before > 0 ? std::optional(median_of(samples.last(third)) / before - 1) : std::nullopt;
}

}  // namespace brume::bench

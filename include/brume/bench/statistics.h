#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace brume::bench {

struct Interval {
  double low = 0;
  double high = 0;
};

/// What a row of samples says. No distribution is assumed: times have long tails.
struct Summary {
  int64_t count = 0;
  double median = 0;
  std::optional<Interval> interval;  // 95 % confidence, of the median; six samples or more
  double least = 0;
  double most = 0;

  /// The interval's width as a share of the median.
  std::optional<double> spread() const;
};

Summary summarize(std::vector<double> samples);
/// Of samples that come in rows of `size`, as the steps of a picture do. Neighbours in a row share the
/// machine's mood, so it is the rows' medians that the median and the interval are made of: the samples
/// themselves would promise far too much.
Summary summarize_rows(std::span<const double> samples, size_t size);

/// The samples, counted from 1 in their order, between which the median lies with at least 95 % confidence:
/// this one from below and the same from above (Conover, "Practical Nonparametric Statistics", the sign
/// test's interval). Nothing below six samples, which cannot say.
std::optional<int64_t> interval_rank(int64_t count);

/// By what share the median of the last third of the samples is above that of the first third. Nothing below
/// nine samples.
std::optional<double> drift(std::span<const double> samples);

}  // namespace brume::bench

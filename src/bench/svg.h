#pragma once
#include <span>
#include <string>
#include <vector>

#include "brume/bench/statistics.h"

namespace brume::bench {

/// `text` with &, <, > and quotes as HTML writes them.
std::string html_text(const std::string& text);

/// Plots as inline SVG, drawn in the page's colours (classes mark, line, band, axis). Values are in
/// milliseconds.

/// Each sample over its number, with the median and its interval.
std::string plot_of_samples(std::span<const double> values, const Summary& summary);
/// How many samples fall into each of some classes.
std::string plot_of_spread(std::span<const double> values);

struct Bar {
  std::string name;
  double value = 0;
  std::string label;
};
/// A bar for each, on a common scale.
std::string plot_of_bars(const std::vector<Bar>& bars);

}  // namespace brume::bench

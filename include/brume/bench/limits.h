#pragma once
#include <cstdint>

namespace brume::bench {

/// When a measurement ends.
struct Limits {
  int64_t warm_up = 1;  // rounds that are not counted
  int64_t most_rounds = 1000;
  double most_seconds = 60;  // after which no further round begins
  double spread = 0.02;      // narrow enough: the width of the 95 % intervals, as a share of the median
};

}  // namespace brume::bench

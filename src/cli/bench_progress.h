#pragma once
#include <chrono>

#include "brume/bench/rounds.h"

namespace brume::cli {

/// A line that says how far a measurement is, on standard error if that is a terminal, else nothing.
class BenchProgress {
 public:
  BenchProgress();
  ~BenchProgress();
  BenchProgress(const BenchProgress&) = delete;
  BenchProgress& operator=(const BenchProgress&) = delete;

  void show(const bench::RoundsProgress& progress);
  /// Takes the line off the screen.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_drawn_;
};

}  // namespace brume::cli

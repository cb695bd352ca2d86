#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "status_line.h"

namespace brume::cli {

/// A bar with steps per second and the time left, on standard error if that is a terminal, else nothing.
class ProgressBar {
 public:
  /// `total` denoising steps over all pictures.
  explicit ProgressBar(int64_t total);

  void advance(int64_t done);
  /// Takes the bar off the screen, so that a line can be printed; the next advance draws it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  int64_t total_;
  StatusLine line_;
  Clock::time_point start_ = Clock::now();
};

/// "[###.....]"; `total` is not 0.
std::string bar_text(int64_t done, int64_t total);
/// "4 s", "3 min 20 s", "2 h 5 min".
std::string duration_text(double seconds);

}  // namespace brume::cli

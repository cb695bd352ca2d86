#pragma once
#include "brume/bench/rounds.h"
#include "status_line.h"

namespace brume::cli {

/// A line that says how far a measurement is, on standard error if that is a terminal, else nothing.
class BenchProgress {
 public:
  void show(const bench::RoundsProgress& progress);
  /// Takes the line off the screen.
  void clear();

 private:
  StatusLine line_;
};

}  // namespace brume::cli

#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/bench/result.h"

namespace brume::bench {

/// A result of an earlier run, from the JSON that it wrote.
struct Baseline {
  std::string file;
  Workload workload;
  Machine machine;
  double steps_per_second = 0;
  double pictures_per_second = 0;
  std::optional<Interval> steps_interval = {};  // of these speeds, 95 %
  std::optional<Interval> pictures_interval = {};

  /// Throws kInputInvalid for a file that cannot be read, or is no result of `brume bench`.
  static Baseline read(const std::filesystem::path& path);
  /// Throws kInputInvalid, naming what differs, where the two measured different work.
  void check_comparable(const Workload& workload) const;
};

/// How a speed changed, as a share of the baseline's: -0.1 is a tenth slower.
struct Change {
  double share = 0;
  // From both speeds' 95 % intervals; where the machine's pace changed in this run, wider by that.
  std::optional<Interval> interval = {};
};

/// A result beside its baseline.
struct Comparison {
  Baseline baseline;
  double max_regress = 0;
  Change steps;
  Change pictures;

  /// A line for each speed that fell by more than is allowed, wherever in its interval the change is.
  std::vector<std::string> failures() const;
  /// A line for each that may have or may not have: its interval holds both, or there is none.
  std::vector<std::string> doubts() const;
  /// What else differs: the processor, the threads, brume itself.
  std::vector<std::string> remarks(const Result& result) const;
};

Comparison compare(const Result& result, Baseline baseline, double max_regress);

}  // namespace brume::bench

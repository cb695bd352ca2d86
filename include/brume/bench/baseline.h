#pragma once
#include <filesystem>
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

  /// Throws kInputInvalid for a file that cannot be read, or is no result of `brume bench`.
  static Baseline read(const std::filesystem::path& path);
  /// Throws kInputInvalid, naming what differs, where the two measured different work.
  void check_comparable(const Workload& workload) const;
};

/// A result beside its baseline. A change is a share of the baseline's: -0.1 is a tenth slower.
struct Comparison {
  Baseline baseline;
  double max_regress = 0;
  double steps_change = 0;
  double pictures_change = 0;

  /// A line for each speed that fell by more than is allowed.
  std::vector<std::string> failures() const;
  /// What else differs: the processor, the threads, brume itself.
  std::vector<std::string> remarks(const Result& result) const;
};

Comparison compare(const Result& result, Baseline baseline, double max_regress);

}  // namespace brume::bench

#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"

namespace brume::cli {

/// What a run has done so far, for the report and the exit code.
struct Tally {
  std::vector<nlohmann::json> pictures;  // an entry of the report for each, in order
  int64_t failed = 0;                    // of these, those with numbers that are not finite
  bool told = true;                      // false: a stop came, and nobody read their paths
  PhaseTimes times;

  int64_t written() const { return static_cast<int64_t>(pictures.size()) - failed; }
};

/// What there was to wait for before anything was drawn, in seconds.
struct StartTimes {
  std::optional<double> gpu = {};         // to open it; nothing where the CPU draws
  double load = 0;                        // the GPU and all that is loaded
  std::optional<double> first_step = {};  // since the program's start, until the first step was under way
};

/// One JSON object on standard output; its "complete" is false where the run did not come to all pictures.
/// False where a stop came, and nobody read it.
bool print_report(const Request& request, const Tally& tally, double load_seconds, const Pipeline& pipeline);
/// What was done on the way to the pictures, as for want of memory, a line each on standard error.
void print_on_the_way(const Tally& tally);
/// The times of the phases, a line on standard error.
void print_times(const Tally& tally, const StartTimes& start);

}  // namespace brume::cli

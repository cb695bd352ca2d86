#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "brume/batch/batch_run.h"

namespace brume::cli {

/// What a batch came to.
struct BatchSummary {
  batch::BatchTally tally;
  std::filesystem::path directory;
  std::optional<std::filesystem::path> failures;  // the list of those that failed
  std::optional<std::filesystem::path> grid;
  int stopped_by = 0;  // the signal that ended it early, or 0
  int64_t steps = 0;
  int64_t batch_size = 0;
  double seconds = 0;
  double load_seconds = 0;
  int64_t peak_memory = 0;            // bytes, of all processes together
  const batch::Busy* busy = nullptr;  // nothing was drawn
  std::vector<batch::LostWorker> lost_workers;
};

/// "12 pictures drawn in 4 s, 3 there already"
std::string summary_line(const BatchSummary& summary);
/// "loaded in 0.20 s, text 0.11 s, ..."
std::string phases_line(const BatchSummary& summary);
nlohmann::json summary_json(const BatchSummary& summary);
nlohmann::json lost_worker_json(const batch::LostWorker& worker);

}  // namespace brume::cli

#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "brume/batch/job.h"
#include "brume/batch/job_key.h"

namespace brume::batch {

/// Bytes of a reason: it may quote a line of a job file, which may have a million.
inline constexpr size_t kMostReason = 1000;

/// A job that there will be no picture of.
struct FailedJob {
  Job job;
  std::string reason;
  std::optional<JobKey> key = {};  // of one that was begun: it cost time, and the journal has it
};

}  // namespace brume::batch

#pragma once
#include <optional>
#include <string>

#include "brume/batch/job.h"
#include "brume/batch/job_key.h"

namespace brume::batch {

/// A job that there will be no picture of.
struct FailedJob {
  Job job;
  std::string reason;
  std::optional<JobKey> key = {};  // of one that was begun: it cost time, and the journal has it
};

}  // namespace brume::batch

#pragma once
#include <string>
#include <utility>
#include <vector>

#include "brume/batch/job.h"

namespace brume::batch {

using Remarks = std::vector<std::pair<std::string, std::string>>;

/// `job` as a line of a job file, without the newline: a JSON object that JobsReader reads as the same id and
/// settings. Each remark becomes a key with an underscore before it, which the reader skips:
/// {"failed", "why"} is written "_failed": "why".
std::string to_json_line(const Job& job, const Remarks& remarks = {});

}  // namespace brume::batch

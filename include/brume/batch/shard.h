#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "brume/batch/job_key.h"

namespace brume::batch {

/// One of `count` disjoint parts of a job file. A job's key decides which part it is in, so that the parts
/// stay the same when lines are added, moved or taken away.
struct Shard {
  int64_t index = 0;  // from 0
  int64_t count = 1;

  bool owns(const JobKey& key) const;
  /// All of the jobs.
  bool is_whole() const { return count == 1; }
  /// Whether a job may be in both.
  bool overlaps(const Shard& other) const;
  /// Whether every job of the other is in this one.
  bool covers(const Shard& other) const;
  /// "3-of-8" for names of files, "all" for the whole.
  std::string name() const;

  bool operator==(const Shard&) const = default;
};

/// Looks up an environment variable, as std::getenv.
using Environment = std::function<const char*(const char*)>;

/// What --shard says. "i/n": part i of n, from 0/n to n-1/n. "auto/n": i is the number that the scheduler
/// gave this task (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX), which must be from 0 to n-1; it is the right
/// one also when a few tasks of an array are started again. "auto": n too, which only Slurm tells, and it
/// counts the tasks of this submission. Throws kUsage.
Shard shard_from_text(const std::string& text, const Environment& environment);

/// The shard that name() gave this name to.
std::optional<Shard> shard_from_name(std::string_view name);

}  // namespace brume::batch

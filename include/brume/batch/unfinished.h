#pragma once
#include <filesystem>

#include "brume/batch/shard.h"

namespace brume::batch {

/// Marks in a directory that a run has not seen to all of its jobs: what was killed, stopped, or met a full
/// disk leaves the mark behind, which the next run of these jobs takes over.
class UnfinishedMark {
 public:
  /// Throws kOutputFailed.
  UnfinishedMark(std::filesystem::path directory, const Shard& shard);
  /// Takes away this mark, and those of shards whose jobs are all among this one's.
  void finish() const;

 private:
  std::filesystem::path directory_;
  Shard shard_;
};

}  // namespace brume::batch

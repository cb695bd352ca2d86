#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

#include "brume/batch/shard.h"

namespace brume::batch {

/// A file that each shard has one of in a batch's directory: START END for the whole, START.3-of-8 END for a
/// shard.
struct ShardFile {
  std::string_view start;
  std::string_view end;

  std::filesystem::path of(const std::filesystem::path& directory, const Shard& shard) const;
  /// The shards whose file is there, sorted. Throws kOutputFailed for a directory that cannot be listed.
  std::vector<Shard> shards_in(const std::filesystem::path& directory) const;
};

inline constexpr ShardFile kJournal{"brume-journal", ".jsonl"};
/// Locked while a run writes to the journal.
inline constexpr ShardFile kJournalLock{"brume-journal", ".jsonl.lock"};
/// One for all shards of a directory, locked while a run looks who else is at work and tells that it is.
inline constexpr std::string_view kJournalGate = "brume-journal.gate";
/// The jobs that failed, and those of a run that has not ended.
inline constexpr ShardFile kFailureList{"failed", ".jsonl"};
inline constexpr ShardFile kFreshFailures{".failed", ".jsonl.new"};
/// There until a run has seen to all of its jobs.
inline constexpr ShardFile kUnfinished{".brume-unfinished", ""};

}  // namespace brume::batch

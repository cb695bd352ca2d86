#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "brume/batch/journal_record.h"

namespace brume::batch {

/// What the journals of one or more directories say together.
struct BatchStatus {
  int64_t journals = 0;
  int64_t done = 0;                     // jobs, each counted once
  int64_t failed = 0;                   // and not done anywhere
  int64_t listed = 0;                   // in failed.jsonl: also what the model could not draw at all
  std::vector<JournalRecord> failures;  // the first of them
  std::vector<std::string> running;     // who is at work: "brume-journal.0-of-2.jsonl: process 12 on host"
  std::vector<std::string> remarks;
};

/// Reads them, also while they are written to. Throws kInputInvalid for a directory without a journal.
BatchStatus read_journals(std::span<const std::filesystem::path> directories, size_t most_failures = 100);

}  // namespace brume::batch

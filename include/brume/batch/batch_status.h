#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace brume::batch {

/// A job in a list of failed jobs.
struct ListedFailure {
  std::filesystem::path list;
  int64_t line = 0;  // of the list, from 1
  std::string reason;
};

/// What the journals and the lists of failed jobs of one or more directories say together.
struct BatchStatus {
  int64_t journals = 0;
  int64_t done = 0;                     // jobs, each counted once, whose pictures are there
  int64_t missing = 0;                  // jobs whose pictures were there, and are gone or of another size
  int64_t failed = 0;                   // jobs, each counted once, that are not done anywhere
  int64_t listed = 0;                   // lines of the lists; a job may be in several
  int64_t unfinished = 0;               // runs that have ended before they had seen to all of their jobs
  std::vector<ListedFailure> failures;  // the first of them
  std::vector<std::string> running;     // who is at work: "brume-journal.0-of-2.jsonl: process 12 on host"
  std::vector<std::string> remarks;
};

/// Reads them, also while they are written to. Throws kInputInvalid for a directory without a journal,
/// kOutputFailed for one that cannot be listed.
BatchStatus read_status(std::span<const std::filesystem::path> directories, size_t most_failures = 100);

}  // namespace brume::batch

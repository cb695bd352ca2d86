#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "brume/batch/job_key.h"

namespace brume::batch {

enum class Status { kDone, kFailed };

/// What became of one job.
struct JournalRecord {
  JobKey key;
  Status status = Status::kDone;
  std::string file;  // done: its name in the directory
  uint64_t bytes = 0;
  std::string sha256;  // of the file, in hexadecimal digits
  std::string reason;  // failed: why
  int64_t index = 0;
  int64_t line = 0;
  std::string id;
  uint64_t seed = 0;
  double seconds = 0;
};

/// A record as a line: {"length":N,"crc32c":"xxxxxxxx","record":{...}} and the end of the line. The length
/// and the checksum are those of the bytes of {...}.
std::string journal_line(const JournalRecord& record);

/// The record of a line without its end; nothing if a byte of it is not as journal_line writes it.
std::optional<JournalRecord> read_journal_line(std::string_view line);

struct RecordHead {
  JobKey key;
  Status status = Status::kDone;
};

/// As read_journal_line, but only what an index needs; the rest is known to be whole and not read.
std::optional<RecordHead> read_record_head(std::string_view line);

}  // namespace brume::batch

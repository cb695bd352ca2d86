#include "brume/batch/batch_status.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/base/strict_json.h"
#include "brume/batch/failed_job.h"
#include "brume/batch/journal.h"
#include "brume/batch/key_table.h"
#include "brume/batch/run_lock.h"
#include "brume/batch/shard_files.h"
#include "failure_lines.h"
#include "journal_scan.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

/// The keys that a journal is done with. Its last record of a key counts; among journals one whose picture is
/// there.
class DoneKeys {
 public:
  void read(const fs::path& path, BatchStatus& status) {
    constexpr uint64_t kFailedHere = KeyTable::kNone - 1;
    KeyTable here;  // where in the journal their pictures' records are
    int64_t damaged = 0;
    const InputFile journal(path, ExitCode::kInputInvalid);
    scan_journal(journal, [&](uint64_t offset, const std::optional<RecordHead>& head) {
      if (head) here.set(head->key, head->status == Status::kDone ? offset : kFailedHere);
      damaged += head ? 0 : 1;
    });
    if (damaged != 0) status.remarks.push_back(damaged_remark(path, damaged));
    all_.reserve(all_.size() + here.size());
    here.each([&](const JobKey& key, uint64_t offset) {
      if (offset == kFailedHere || all_.find(key) == kThere) return;
      const std::optional<JournalRecord> record = read_record_at(journal, offset);
      const bool there = record && state_by_size(path.parent_path(), *record) == State::kDone;
      all_.set(key, there ? kThere : kGone);
    });
  }

  void count(BatchStatus& status) const {
    all_.each(
        [&](const JobKey& /*key*/, uint64_t state) { ++(state == kThere ? status.done : status.missing); });
  }
  /// A picture that has gone was no failure.
  bool contains(const JobKey& key) const { return all_.find(key).has_value(); }

 private:
  static constexpr uint64_t kGone = 0;
  static constexpr uint64_t kThere = 1;
  KeyTable all_;
};

constexpr int kMostDepth = 16;  // of a job's JSON

/// What a line of a list says.
struct FailureLine {
  std::string job;  // without remarks: the same in every list
  std::optional<JobKey> key;
  std::string reason;
};

FailureLine read_failure_line(const std::string& line) {
  nlohmann::json values;
  try {
    values = parse_strict_json(line, kMostDepth, "a failed job", ExitCode::kInputInvalid);
  } catch (const Error&) {  // the line is told with its number, whatever is wrong
  }
  if (!values.is_object()) return {line, {}, "is no job that brume wrote"};
  const auto text = [&](const char* name) {
    const auto found = values.find(name);
    return found != values.end() && found->is_string() ? found->get<std::string>() : "";
  };
  FailureLine read{{}, JobKey::from_hex(text("_key")), bounded(text("_failed"), kMostReason)};
  for (auto at = values.begin(); at != values.end();)
    at = at.key().starts_with('_') ? values.erase(at) : ++at;
  read.job = values.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return read;
}

/// The failures of several lists, which nobody else keeps: the journals have only the jobs that were begun,
/// and cannot tell when one was mended.
class Failures {
 public:
  Failures(const DoneKeys& done, size_t most) : done_(done), most_(most) {}

  /// Returns how many lines the list has.
  int64_t read(const fs::path& list, LastLine last, BatchStatus& status) {
    int64_t lines = 0;
    for_each_failure_line(list, last, [&](const std::string& text) {
      ++lines;
      FailureLine line = read_failure_line(text);
      if ((line.key && done_.contains(*line.key)) || !seen_.insert(short_digest(line.job)).second) return;
      ++status.failed;
      if (status.failures.size() < most_) status.failures.push_back({list, lines, std::move(line.reason)});
    });
    status.listed += lines;
    return lines;
  }

 private:
  const DoneKeys& done_;
  size_t most_;
  std::unordered_set<uint64_t> seen_;
};

std::string jobs_text(int64_t lines) { return std::to_string(lines) + (lines == 1 ? " job" : " jobs"); }

/// First what a run adds to: at its end that goes into the list, and would be seen in neither.
void read_lists(const fs::path& directory, Failures& failures, BatchStatus& status) {
  for (const Shard& shard : kFreshFailures.shards_in(directory)) {
    const fs::path fresh = kFreshFailures.of(directory, shard);
    if (const int64_t lines = failures.read(fresh, LastLine::kOnlyWhole, status); lines > 0)
      status.remarks.push_back(
          fresh.string() + " lists " + jobs_text(lines) +
          " of a run that is at work or was killed; its end or the next run moves them to " +
          kFailureList.of(directory, shard).filename().string());
  }
  for (const Shard& shard : kFailureList.shards_in(directory)) {
    const fs::path list = kFailureList.of(directory, shard);
    if (const int64_t lines = failures.read(list, LastLine::kTake, status); lines > 0)
      status.remarks.push_back(list.string() + " lists " + jobs_text(lines) + " to look at");
  }
}

/// What is wrong with a job file's lines only a first shard tells.
void remark_on_first_shards(const std::vector<Shard>& shards, BatchStatus& status) {
  std::map<int64_t, bool> told;  // by the number of shards
  for (const Shard& shard : shards) told[shard.count] |= shard.index == 0;
  if (told.contains(1)) return;
  for (const auto& [count, by_first] : told) {
    if (!by_first)
      status.remarks.push_back(
          "shard 0/" + std::to_string(count) +
          " has not run here, which tells of lines that ask for nothing that can be drawn");
  }
}

void look_for_unfinished(const fs::path& directory, BatchStatus& status) {
  for (const Shard& shard : kUnfinished.shards_in(directory)) {
    if (RunLock::holder(kJournalLock.of(directory, shard))) continue;
    ++status.unfinished;
    status.remarks.push_back(directory.string() + ": the last run" +
                             (shard.is_whole() ? "" : " of shard " + shard.name()) +
                             " ended before it had seen to all of its jobs; the same command goes on");
  }
}

}  // namespace

BatchStatus read_status(std::span<const fs::path> directories, size_t most_failures) {
  BatchStatus status;
  DoneKeys done;
  std::vector<Shard> all;
  for (const fs::path& directory : directories) {
    std::error_code failed;
    if (!fs::is_directory(directory, failed))
      throw Error(ExitCode::kInputInvalid, directory.string(), "is no directory",
                  "name the one given with -o");
    const std::vector<Shard> shards = kJournal.shards_in(directory);
    if (shards.empty()) {
      throw Error(ExitCode::kInputInvalid, directory.string(), "has no journal of a batch",
                  "name the directory that was given with -o");
    }
    for (const Shard& shard : shards) {
      const fs::path path = kJournal.of(directory, shard);
      done.read(path, status);
      if (const auto who = RunLock::holder(kJournalLock.of(directory, shard)))
        status.running.push_back(path.string() + ": " + *who);
      ++status.journals;
    }
    all.insert(all.end(), shards.begin(), shards.end());
    look_for_unfinished(directory, status);
  }
  remark_on_first_shards(all, status);
  done.count(status);
  Failures failures(done, most_failures);
  for (const fs::path& directory : directories) read_lists(directory, failures, status);
  return status;
}

}  // namespace brume::batch

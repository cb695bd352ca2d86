#include "brume/batch/batch_status.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/journal.h"
#include "brume/batch/shard_files.h"
#include "journal_scan.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

/// For each key 1 if it is done, 0 if it failed. The last record of a journal counts, and among journals one
/// that is done.
class Tally {
 public:
  void read(const fs::path& path, BatchStatus& status) {
    KeyTable here;
    int64_t damaged = 0;
    scan_journal(InputFile(path, ExitCode::kInputInvalid),
                 [&](uint64_t /*offset*/, const std::optional<RecordHead>& head) {
                   if (head) here.set(head->key, head->status == Status::kDone ? 1 : 0);
                   damaged += head ? 0 : 1;
                 });
    if (damaged != 0)
      status.remarks.push_back(path.string() + ": passed over " + std::to_string(damaged) + " damaged lines");
    all_.reserve(all_.size() + here.size());
    here.each([&](const JobKey& key, uint64_t done) {
      if (done != 0 || !all_.find(key)) all_.set(key, done);
    });
  }

  void count(BatchStatus& status) const {
    all_.each([&](const JobKey&, uint64_t done) { ++(done != 0 ? status.done : status.failed); });
  }

  /// Takes what a journal says of keys that failed, each once.
  void collect_failures(const fs::path& path, size_t most, BatchStatus& status) {
    const InputFile file(path, ExitCode::kInputInvalid);
    scan_journal(file, [&](uint64_t offset, const std::optional<RecordHead>& head) {
      if (!head || status.failures.size() >= most || all_.find(head->key) != 0) return;
      if (auto record = read_record_at(file, offset)) {
        status.failures.push_back(std::move(*record));
        all_.set(head->key, kTaken);
      }
    });
  }

 private:
  static constexpr uint64_t kTaken = 2;

  KeyTable all_;
};

/// What the lists of failed jobs hold: also those that no journal has, because the model cannot draw them.
void remark_failure_lists(const fs::path& directory, BatchStatus& status) {
  for_each_entry(directory, ExitCode::kOutputFailed, [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    std::error_code gone;
    if (!name.starts_with("failed.") || !name.ends_with("jsonl") || !entry.is_regular_file(gone)) return;
    std::ifstream file(entry.path());
    const auto lines = std::count(std::istreambuf_iterator<char>(file), {}, '\n');
    status.listed += lines;
    if (lines > 0)
      status.remarks.push_back(entry.path().string() + " lists " + std::to_string(lines) +
                               (lines == 1 ? " job" : " jobs") + " to look at");
  });
}

}  // namespace

BatchStatus read_journals(std::span<const fs::path> directories, size_t most_failures) {
  BatchStatus status;
  Tally tally;
  std::vector<fs::path> paths;
  for (const fs::path& directory : directories) {
    const std::vector<Shard> shards = kJournal.shards_in(directory);
    if (shards.empty()) {
      throw Error(ExitCode::kInputInvalid, directory.string(), "has no journal of a batch",
                  "name the directory that was given with -o");
    }
    for (const Shard& shard : shards) {
      paths.push_back(kJournal.of(directory, shard));
      if (const auto who = RunLock::holder(kJournalLock.of(directory, shard)))
        status.running.push_back(paths.back().string() + ": " + *who);
    }
  }
  status.journals = static_cast<int64_t>(paths.size());
  for (const fs::path& path : paths) tally.read(path, status);
  tally.count(status);
  for (const fs::path& path : paths) tally.collect_failures(path, most_failures, status);
  for (const fs::path& directory : directories) remark_failure_lists(directory, status);
  return status;
}

}  // namespace brume::batch

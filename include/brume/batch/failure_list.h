#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_set>

#include "brume/batch/batch_listener.h"

namespace brume::batch {

/// Where a FailureList is kept, and what of an earlier one it may drop.
struct FailureListPlace {
  std::filesystem::path file;  // DIR/failed.jsonl
  std::string from;            // the job file, by a name that stays; empty for a stream
  std::string mark;            // of temporary files, as write_file_atomically's
};

/// The jobs that failed, as a job file with the reason and the job file of each in remarks: {..., "_failed":
/// "why", "_from": "jobs.txt"}. Nothing is lost from it: what an earlier run wrote stays until this run has
/// come to the same job, or to the end of the job file that it is from. Each failure is on disk at once, in a
/// file beside it, which a run that is killed leaves to the next.
class FailureList : public PassingListener {
 public:
  /// Throws kOutputFailed. Lines of the file that are no jobs stay in it.
  FailureList(BatchListener& next, FailureListPlace place);
  ~FailureList() override;
  FailureList(const FailureList&) = delete;
  FailureList& operator=(const FailureList&) = delete;

  void on_skipped(const ReadyJob& job) override;
  void on_drawn(const ReadyJob& job, const std::filesystem::path& file, double seconds) override;
  void on_failed(const Job& job, const std::string& reason) override;

  /// Writes the file, or removes it where there is nothing to say. `complete`: this run came to every job of
  /// its file. Throws kOutputFailed, and the failures stay where they are.
  void settle(bool complete);

  const std::filesystem::path& file() const { return place_.file; }

 private:
  using LineTest = std::function<bool(const std::string&)>;

  void resolve(const Job& job);
  void append(const std::string& line);
  bool is_kept(const std::string& line, bool complete) const;
  void write(const LineTest& keep);

  FailureListPlace place_;
  std::filesystem::path fresh_;           // the failures of this run
  int fd_ = -1;                           // of that
  std::unordered_set<uint64_t> earlier_;  // jobs of the file that this run has not come to
};

}  // namespace brume::batch

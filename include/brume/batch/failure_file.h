#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "brume/batch/job.h"
#include "brume/batch/shard.h"

namespace brume::batch {

/// Whose failures are kept where.
struct FailurePlace {
  std::filesystem::path file;  // DIR/failed.jsonl
  std::filesystem::path jobs;  // the job file; empty for a stream
  Shard shard;
  PictureSettings defaults;  // of jobs that do not say otherwise
};

/// The jobs that failed, as a job file with the reason and the job file of each in remarks: {..., "_failed":
/// "why", "_from": "/jobs.txt"}. Nothing is lost from it: what an earlier run wrote stays until this run has
/// come to the same job, or to the end of the job file that it is from. Failures are written as they come, to
/// a file beside it, which a run that is killed leaves to the next.
class FailureFile {
 public:
  /// Takes in what a killed run left. Lines that are no jobs stay. Throws kOutputFailed for what is there and
  /// is no file that can be read.
  explicit FailureFile(FailurePlace place);
  ~FailureFile();
  FailureFile(const FailureFile&) = delete;
  FailureFile& operator=(const FailureFile&) = delete;

  const std::filesystem::path& file() const { return place_.file; }
  /// The run has come to this job.
  void resolve(const Job& job);
  /// Throws kOutputFailed, and the file then is as before.
  void add(const Job& job, const std::string& reason);
  /// Writes the file, or removes it where there is nothing to say. `complete`: this run came to every job of
  /// its file. Throws kOutputFailed, and the failures stay where they are.
  void settle(bool complete);

 private:
  using LineTest = std::function<bool(const std::string&)>;

  std::vector<uint64_t> identities(const std::string& line) const;
  void take_in_left_over();
  bool is_kept(const std::string& line, bool complete) const;
  void write(const LineTest& keep);

  FailurePlace place_;
  std::filesystem::path fresh_;                   // the failures of this run
  bool reads_itself_;                             // the job file is the list
  int fd_ = -1;                                   // of fresh_
  uint64_t end_ = 0;                              // of its last whole line
  std::unordered_map<uint64_t, size_t> earlier_;  // jobs that this run has not come to, and their origins
  std::vector<std::string> origins_;
};

}  // namespace brume::batch

#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "brume/batch/failed_job.h"
#include "brume/batch/shard.h"

namespace brume::batch {

/// Whose failures are kept where.
struct FailurePlace {
  std::filesystem::path directory;
  Shard shard;
  std::vector<std::filesystem::path> jobs;  // the job files, by Job::file; empty for a stream
  PictureSettings defaults;                 // of jobs that do not say otherwise
};

/// The jobs that failed, in DIR/failed.jsonl, or failed.I-of-N.jsonl for a shard: a job file with the reason
/// and the job file of each in remarks, and the key of one that was begun: {..., "_failed": "why", "_from":
/// "/jobs.txt", "_key": "0123..."}. Nothing is lost from it: what an earlier run wrote stays until this run
/// has come to the same job, or to the end of the job file that it is from. Failures are written as they
/// come, to a file beside it, which a run that is killed leaves to the next. The lists of shards that this
/// one holds all jobs of are its own too: at the end of a run that came to all of its jobs they become one.
/// One that did not leaves them where they are, also where nothing is left of them and they are the job files
/// that it was given: the same command goes on.
class FailureFile {
 public:
  /// Takes in what killed runs left. Lines that are no jobs stay. Throws kOutputFailed for what is there and
  /// is no file that can be read.
  explicit FailureFile(FailurePlace place);
  ~FailureFile();
  FailureFile(const FailureFile&) = delete;
  FailureFile& operator=(const FailureFile&) = delete;

  const std::filesystem::path& file() const { return lists_.front().file; }
  /// The run has come to this job.
  void resolve(const Job& job);
  /// On the disk before it returns, if the job was begun; what was refused at sight is soon refused again.
  /// Throws kOutputFailed, and the file then is as before.
  void add(const FailedJob& failed);
  /// Writes the file, or removes it where there is nothing to say. `complete`: this run came to every job of
  /// its files. Throws kOutputFailed, and the failures stay where they are.
  void settle(bool complete);

 private:
  struct List {
    std::filesystem::path file;
    std::filesystem::path fresh;  // what a run that has not ended adds to it
    std::filesystem::path place;  // the file by the name that job files have
  };
  using LineTest = std::function<bool(const List&, const std::string&)>;

  std::vector<List> find_lists() const;
  bool is_jobs(const List& list) const;
  std::vector<uint64_t> identities(const std::string& line) const;
  void take_in_left_over(const List& list) const;
  void remember(const List& list);
  std::string origin_for(const Job& job) const;
  bool is_kept(const List& list, const std::string& line, bool complete) const;
  enum class Empty { kGoes, kStays };
  void write(const List& to, const std::vector<List>& from, const LineTest& keep,
             Empty empty = Empty::kGoes) const;

  FailurePlace place_;
  std::vector<List> lists_;                       // the first is written to
  int fd_ = -1;                                   // of its fresh failures
  uint64_t end_ = 0;                              // of their last whole line
  std::unordered_map<uint64_t, size_t> earlier_;  // jobs that this run has not come to, and their origins
  std::vector<std::string> origins_;
};

}  // namespace brume::batch

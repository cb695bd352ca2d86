#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "brume/batch/batch_listener.h"
#include "brume/batch/job_feed.h"
#include "brume/batch/job_groups.h"
#include "brume/batch/picture_store.h"
#include "brume/batch/runner.h"
#include "brume/batch/worker_pool.h"

namespace brume::batch {

/// What became of the jobs so far.
struct BatchTally {
  int64_t drawn = 0;
  int64_t skipped = 0;  // there already, or asked for twice
  int64_t failed = 0;   // those that did not fit the model included
  int64_t bad_lines = 0;
};

/// One run of brume batch: what is not there yet is drawn and put there, picture by picture.
class BatchRun {
 public:
  /// All that is passed by reference must outlive the run. With `fail_fast` the first failure or bad line
  /// ends it, as a stop does.
  BatchRun(PictureStore& store, BatchListener& listener, bool fail_fast)
      : store_(store), listener_(listener), fail_fast_(fail_fast) {}

  /// For the feed of this run.
  FeedFaults faults();
  /// The next job that is not there yet.
  std::optional<ReadyJob> next(JobFeed& feed);

  /// Draws a group of jobs; the pipeline has its adapters.
  void draw(const Pipeline& pipeline, const RunnerSettings& settings, JobGroups& group,
            std::function<int()> stop_signal);
  /// The same by other processes; `settings` without faults, which the listener hears of.
  void draw_by_workers(WorkerPoolSettings settings, JobGroups& group, std::function<int()> stop_signal);

  /// Fails every job of a group that cannot be drawn, also those that a drawing that threw had begun; until a
  /// stop, after which no other group is begun either.
  void refuse(JobGroups& group, const std::string& reason, const std::function<int()>& stop_signal);

  /// No more jobs are wanted: who waits for some need not any longer. From any thread.
  bool ending() const;

  BatchTally tally() const;
  /// A stop or the first failure ended it before all was drawn.
  bool stopped() const { return stopped_; }
  int64_t steps_done() const;
  /// Seconds of the phases of the groups that ended, of this process or its workers; null where nothing was
  /// to be drawn.
  const Busy* busy() const { return drew_ ? &busy_ : nullptr; }
  /// As WorkerPool::workers_memory, of the group that took most; 0 where this process drew.
  int64_t workers_memory() const { return workers_memory_; }
  /// Of all groups.
  const std::vector<LostWorker>& lost_workers() const { return lost_workers_; }

 private:
  struct OnItsWay {
    ReadyJob job;
    std::chrono::steady_clock::time_point begun;
  };
  Runner::Source source(JobGroups& group);
  Runner::Sink sink();
  WorkerFaults worker_faults();
  bool skip(const ReadyJob& job);
  Work begin(ReadyJob job);
  void take(Made made);
  template <class Drawing>
  void run(std::optional<Drawing>& drawing);
  void fail(FailedJob failed);
  std::optional<Job> next_refused(JobGroups& group);

  PictureStore& store_;
  BatchListener& listener_;
  bool fail_fast_;
  mutable std::mutex mutex_;  // of all below, and of the store
  BatchTally tally_;
  std::map<uint64_t, OnItsWay> on_their_way_;
  std::set<JobKey> keys_;  // of these
  uint64_t tickets_ = 0;
  std::atomic<bool> failed_ = false;  // a job, or a line that asks for none
  std::optional<Runner> runner_;
  std::optional<WorkerPool> workers_;
  bool stopped_ = false;
  bool drew_ = false;
  Busy busy_;  // of groups that ended, as the next two
  int64_t steps_ = 0;
  int64_t workers_memory_ = 0;
  std::vector<LostWorker> lost_workers_;
};

}  // namespace brume::batch

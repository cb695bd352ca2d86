#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "brume/batch/failed_job.h"
#include "brume/batch/job_feed.h"
#include "brume/batch/worker_pool.h"

namespace brume::batch {

/// Hears of everything that becomes of a job, one call at a time; of steps from a thread of their own.
class BatchListener {
 public:
  virtual ~BatchListener() = default;
  virtual void on_bad_line(const BadLine& /*line*/) {}
  virtual void on_skipped(const ReadyJob& /*job*/) {}
  /// What its reader should know of a picture: one line.
  virtual void on_note(const Job& /*job*/, const std::string& /*note*/) {}
  virtual void on_drawn(const ReadyJob& /*job*/, const std::filesystem::path& /*file*/, double /*seconds*/) {}
  virtual void on_failed(const FailedJob& /*failed*/) {}
  /// It is started again.
  virtual void on_worker_died(const WorkerName& /*worker*/, const std::string& /*why*/) {}
  virtual void on_worker_given_up(const LostWorker& /*worker*/) {}
  /// After each call of the UNet.
  virtual void on_steps(int64_t /*steps_done*/) {}
};

/// Passes all it hears on to another, which must outlive it.
class PassingListener : public BatchListener {
 public:
  explicit PassingListener(BatchListener& next) : next_(next) {}
  void on_bad_line(const BadLine& line) override { next_.on_bad_line(line); }
  void on_skipped(const ReadyJob& job) override { next_.on_skipped(job); }
  void on_note(const Job& job, const std::string& note) override { next_.on_note(job, note); }
  void on_drawn(const ReadyJob& job, const std::filesystem::path& file, double seconds) override {
    next_.on_drawn(job, file, seconds);
  }
  void on_failed(const FailedJob& failed) override { next_.on_failed(failed); }
  void on_worker_died(const WorkerName& worker, const std::string& why) override {
    next_.on_worker_died(worker, why);
  }
  void on_worker_given_up(const LostWorker& worker) override { next_.on_worker_given_up(worker); }
  void on_steps(int64_t steps_done) override { next_.on_steps(steps_done); }

 private:
  BatchListener& next_;
};

}  // namespace brume::batch

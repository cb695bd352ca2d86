#pragma once
#include <filesystem>
#include <string>

#include "brume/batch/batch_listener.h"
#include "brume/batch/failure_file.h"

namespace brume::batch {

/// Keeps the list of failed jobs by what it hears of a run.
class FailureList : public PassingListener {
 public:
  /// Both must outlive it.
  FailureList(BatchListener& next, FailureFile& file) : PassingListener(next), file_(file) {}

  void on_skipped(const ReadyJob& job) override {
    file_.resolve(job.job);
    PassingListener::on_skipped(job);
  }
  void on_drawn(const ReadyJob& job, const std::filesystem::path& file, double seconds) override {
    file_.resolve(job.job);
    PassingListener::on_drawn(job, file, seconds);
  }
  void on_failed(const FailedJob& failed) override {
    file_.add(failed);
    PassingListener::on_failed(failed);
  }

 private:
  FailureFile& file_;
};

}  // namespace brume::batch

#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "batch_options.h"
#include "brume/batch/batch_listener.h"
#include "status_line.h"

namespace brume::cli {

struct JobCount {
  int64_t pictures = 0;   // of a shard about how many
  double steps_each = 0;  // the mean
};

/// What of the jobs is told, and how.
struct ToldJobs {
  std::vector<std::string> files;  // lines are told with theirs where there are several
  bool print_paths = true;
  std::optional<JobCount> count;  // where it is known
};

/// Tells what becomes of the jobs: the path of each picture on standard output, the rest on standard error,
/// as lines and a bar for people or as JSON events for programs.
class BatchProgress : public batch::BatchListener {
 public:
  BatchProgress(ProgressKind kind, ToldJobs jobs);

  void on_bad_line(const batch::BadLine& line) override;
  void on_skipped(const batch::ReadyJob& job) override;
  void on_note(const batch::Job& job, const std::string& note) override;
  void on_drawn(const batch::ReadyJob& job, const std::filesystem::path& file, double seconds) override;
  void on_failed(const batch::FailedJob& failed) override;
  void on_worker_died(const batch::WorkerName& worker, const std::string& why) override;
  void on_worker_given_up(const batch::LostWorker& worker) override;
  void on_steps(int64_t steps_done) override;

  /// Of a plan, which draws nothing: one more picture was looked at.
  void on_planned();
  /// A line for people, without the program's name; a note for programs.
  void say(const std::string& line);
  /// The bar goes, and programs are told what it came to.
  void end(const nlohmann::json& summary);
  /// False where a stop came, and nobody read the paths of pictures.
  bool told_paths() const { return told_paths_; }

 private:
  using Clock = std::chrono::steady_clock;

  /// "line 3", or "more.txt line 3"
  std::string place_of(size_t file, int64_t line) const;
  /// An event about a job.
  nlohmann::json event_of(const char* name, const batch::Job& job) const;
  /// A line for people and an event for programs.
  void tell(const std::string& line, const nlohmann::json& event);
  void draw_line();
  double seconds_since_start() const;
  double pictures_a_minute() const;
  /// Of what is left, by the steps; before they tell anything, by the pictures. Nothing where neither does.
  std::optional<double> seconds_left() const;

  StatusLine line_;
  bool events_;
  std::vector<std::string> files_;
  bool print_paths_;
  std::atomic<bool> told_paths_ = true;
  std::optional<int64_t> pictures_;
  double steps_each_ = 0;
  std::mutex mutex_;
  int64_t drawn_ = 0;
  int64_t skipped_ = 0;
  int64_t failed_ = 0;
  int64_t planned_ = 0;
  int64_t steps_ = 0;
  // Loading has no steps: their rate counts from the first.
  std::optional<Clock::time_point> first_step_;
  int64_t first_steps_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_told_ = start_;  // of the steps, to programs
};

}  // namespace brume::cli

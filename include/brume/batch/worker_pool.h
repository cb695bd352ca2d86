#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "brume/batch/runner.h"

namespace brume::batch {

/// Which of the workers, and what it draws on.
struct WorkerName {
  int64_t number = 1;
  std::string device;
  std::string text() const { return "worker " + std::to_string(number) + " (" + device + ")"; }
};

struct WorkerSlot {
  WorkerName name;
  std::vector<std::string> command;  // the program and its arguments
};

/// One that was given up.
struct LostWorker {
  WorkerName name;
  std::string why;
};

/// Hears of workers that do not live as they should, from several threads.
struct WorkerFaults {
  /// It had its model, and is started again.
  std::function<void(const WorkerName&, const std::string& why)> died = [](auto&&...) {};
  /// It is not started again. The others go on, unless it was the last.
  std::function<void(const LostWorker&, bool is_last)> given_up = [](auto&&...) {};
};

struct WorkerPoolSettings {
  std::vector<WorkerSlot> workers;
  WorkerFaults faults = {};
  int64_t most_each = 2;                                           // pictures that a worker has at a time
  std::chrono::duration<double> grace = std::chrono::seconds(10);  // that a stop leaves them
  // After a stop or a failure and the grace: for workers to end by themselves, before they are killed; where
  // they have drawn pictures, some times what a step and a picture's decoding took, but 5 s at least.
  std::chrono::duration<double> patience = std::chrono::seconds(60);
};

/// Has pictures drawn by other processes, a worker for each device: the same as Runner, but that a fault of a
/// device ends one worker and not the batch. A worker that dies is started again and the pictures it had are
/// drawn once more, each alone, so that the one that kills it fails and no other. One that does not come to
/// draw anything, start after start, is given up. At the end one that answers no signal is killed.
class WorkerPool {
 public:
  /// The sink is called from a thread of each worker.
  WorkerPool(WorkerPoolSettings settings, Runner::Source source, Runner::Sink sink,
             std::function<int()> stop_signal);

  /// As Runner::run. Throws what ends the batch: a worker that cannot start, or says that its model or its
  /// options are wrong, or that all workers are given up.
  bool run();

  /// True once a failure or a stop ends the run. From any thread: a source that waits, for more of its input
  /// say, must ask and give nothing more, since the run ends no sooner than it.
  bool ending() const { return ending_; }
  int64_t steps_done() const { return steps_done_; }
  /// What workers were busy with, over all their lives, as far as they told: with each picture. Writing is
  /// the time in the sink.
  const Busy& busy() const { return busy_; }
  /// The most bytes that workers have held: the sum of what each had at its worst, whenever that was.
  int64_t workers_memory() const { return workers_memory_; }

 private:
  class Run;

  WorkerPoolSettings settings_;
  Runner::Source source_;
  Runner::Sink sink_;
  std::function<int()> stop_signal_;
  std::atomic<bool> ending_ = false;
  std::atomic<int64_t> steps_done_ = 0;
  Busy busy_;
  std::atomic<int64_t> workers_memory_ = 0;
};

}  // namespace brume::batch

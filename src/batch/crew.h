#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brume/batch/worker_protocol.h"
#include "child_process.h"
#include "worker_end.h"

namespace brume::batch {

/// A picture that is wanted.
struct Task {
  Work work;
  int deaths = 0;  // of workers that had it
};

/// One of the processes that draw, over all of its lives.
struct Worker {
  std::unique_ptr<ChildProcess> child;
  std::map<uint64_t, Task> tasks;  // that it has
  bool wanted = false;             // it has begun its first life, or is about to
  bool alone = false;              // it has one that a worker died of, and gets no other
  bool accepts = false;            // it is there, and its input is open
  bool sending = false;            // a task is being written
  int fruitless_starts = 0;        // one after the other, of which came no picture
  bool has_lived = false;          // it had its model once
  bool given_up = false;
  int64_t peak_memory = 0;  // of the largest of its lives
  // Of this life:
  bool ready = false;  // it has its model
  bool drew = false;
  std::string device;  // as recipes have it
  std::string told;    // why it ends
  WorkerUse use;

  /// Starts its next life. Why there is none, where the system has no room for another process.
  std::optional<WorkerEnd> begin_life(const std::vector<std::string>& command);
};

/// Who of some workers gets which of the pictures that wait. For one thread at a time.
class Crew {
 public:
  /// A worker has `most_each` pictures at a time.
  Crew(size_t count, int64_t most_each) : workers(count), most_each_(most_each) {}

  std::vector<Worker> workers;
  std::deque<Task> waiting;

  /// Nothing waits, and nobody has anything.
  bool is_idle() const;
  bool all_given_up() const;
  bool may_have_more(const Worker& worker) const;
  /// Whether more waits than there are workers without work that may take it: for one that was not wanted
  /// yet.
  bool needs_another() const;
  /// Gives it the one that waits longest.
  const Work& give_next(Worker& worker);
  /// A dead worker's tasks wait for another; those that have cost two lives are given back, to fail.
  std::vector<uint64_t> take_back(Worker& worker);

 private:
  bool may_be_trusted(const Worker& worker) const;

  int64_t most_each_;
};

}  // namespace brume::batch

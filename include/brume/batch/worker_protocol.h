#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "brume/batch/runner.h"

namespace brume::batch {

/// What goes from a batch to one of its workers: a picture to be made, as a line of JSON with its end. Every
/// number reads back as the same.
std::string work_line(const Work& work);
/// Throws kInputInvalid for a line that work_line does not write.
Work read_work_line(const std::string& line);

/// What a worker has used since its start.
struct WorkerUse {
  int64_t steps = 0;
  double load = 0;  // seconds of work, as in Busy; writing is the batch's own
  double text = 0;
  double denoise = 0;
  double decode = 0;
  int64_t peak_memory = 0;  // bytes
};

/// What comes back: a line of JSON, and behind it the pixels.
void write_made(int fd, const Made& made, const WorkerUse& use);
/// The first that a worker says: it has its model, and draws on this device. Before that nothing is asked of
/// it.
void write_ready(int fd, const std::string& device);
/// The last that it says where it ends by an error: why, for its batch to tell.
void write_failure(int fd, const std::string& text);

struct MadeFrame {
  Made made;
  WorkerUse use;
};

struct WorkerReady {
  std::string device;
};

struct WorkerFailure {
  std::string text;
};

using WorkerMessage = std::variant<WorkerReady, MadeFrame, WorkerFailure>;

/// Reads what a worker writes.
class WorkerReader {
 public:
  explicit WorkerReader(int fd) : fd_(fd) {}
  /// Nothing at the end, and where it breaks off.
  std::optional<WorkerMessage> next();
  /// The end was a line that no worker writes: whoever did may live on, and what follows means nothing.
  bool broken() const { return broken_; }

 private:
  bool read_line(std::string& line);
  bool read_exactly(uint8_t* to, size_t count);

  int fd_;
  std::string buffer_;
  bool broken_ = false;
};

}  // namespace brume::batch

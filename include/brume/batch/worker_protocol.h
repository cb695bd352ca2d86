#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "brume/batch/runner.h"

namespace brume::batch {

/// What goes from a batch to one of its workers: a picture to be made, as a line of JSON with its end. Every
/// number reads back as the same.
std::string work_line(const Work& work);
/// Throws kInputInvalid for a line that work_line does not write.
Work read_work_line(const std::string& line);

/// What comes back: a line of JSON, and behind it the pixels. `steps` are those of the worker since its
/// start.
void write_made(int fd, const Made& made, int64_t steps);

struct MadeFrame {
  Made made;
  int64_t steps = 0;
};

/// Reads what write_made writes.
class MadeReader {
 public:
  explicit MadeReader(int fd) : fd_(fd) {}
  /// Nothing at the end, and where it breaks off.
  std::optional<MadeFrame> next();

 private:
  bool read_line(std::string& line);
  bool read_exactly(uint8_t* to, size_t count);

  int fd_;
  std::string buffer_;
};

}  // namespace brume::batch

#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brume::batch {

inline constexpr size_t kMostLine = size_t{1} << 20;

struct Line {
  int64_t number = 0;
  std::string_view text;  // without its newline, until the next line is asked for
  bool too_long = false;  // more than kMostLine: the text is left out
};

/// The lines of a descriptor as they arrive, in a buffer that grows to one long line.
class LineReader {
 public:
  LineReader(int fd, std::string name, std::function<bool()> stop_requested);

  /// Nothing at the end, and when a stop was requested while nothing had arrived.
  std::optional<Line> next();
  /// True once next() has given the last line.
  bool ended() const { return ended_ && begin_ == end_; }

 private:
  std::optional<Line> take_line();
  std::optional<Line> take_last_line();
  Line line_of(std::string_view text);
  void make_room();
  bool read_more();
  bool bytes_have_come() const;

  int fd_;
  std::string name_;
  std::function<bool()> stop_requested_;
  std::vector<char> buffer_;
  size_t begin_ = 0;     // of the line that is being read
  size_t end_ = 0;       // of the bytes in the buffer
  size_t searched_ = 0;  // no newline before here
  int64_t number_ = 0;
  bool skipping_ = false;  // the rest of a line that is too long
  bool ended_ = false;
};

}  // namespace brume::batch

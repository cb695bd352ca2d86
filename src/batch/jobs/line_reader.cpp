#include "line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "brume/base/error.h"

namespace brume::batch {

namespace {

constexpr size_t kFirstBuffer = 65536;
// A signal that arrives just before the wait would not end it, so the wait ends by itself now and then.
constexpr int kMostWait = 200;  // milliseconds

}  // namespace

LineReader::LineReader(int fd, std::string name, std::function<bool()> stop_requested)
    : fd_(fd), name_(std::move(name)), stop_requested_(std::move(stop_requested)), buffer_(kFirstBuffer) {}

std::optional<Line> LineReader::next() {
  for (;;) {
    if (std::optional<Line> line = take_line()) return line;
    make_room();
    if (!read_more()) return ended_ ? take_last_line() : std::nullopt;
  }
}

std::optional<Line> LineReader::take_line() {
  const void* found = std::memchr(buffer_.data() + searched_, '\n', end_ - searched_);
  if (found == nullptr) {
    searched_ = end_;
    return std::nullopt;
  }
  const size_t newline = static_cast<size_t>(static_cast<const char*>(found) - buffer_.data());
  const std::string_view text(buffer_.data() + begin_, newline - begin_);
  begin_ = searched_ = newline + 1;
  return line_of(text);
}

std::optional<Line> LineReader::take_last_line() {
  if (begin_ == end_ && !skipping_) return std::nullopt;
  const std::string_view text(buffer_.data() + begin_, end_ - begin_);
  begin_ = searched_ = end_;
  return line_of(text);
}

Line LineReader::line_of(std::string_view text) {
  const bool too_long = std::exchange(skipping_, false) || text.size() > kMostLine;
  return {++number_, too_long ? std::string_view() : text, too_long};
}

void LineReader::make_room() {
  if (begin_ == end_ || skipping_) begin_ = end_ = searched_ = 0;
  if (end_ < buffer_.size()) return;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    searched_ -= begin_;
    begin_ = 0;
  } else if (buffer_.size() <= kMostLine) {
    buffer_.resize(std::min(buffer_.size() * 2, kMostLine + 1));
  } else {
    skipping_ = true;
    end_ = searched_ = 0;
  }
}

bool LineReader::bytes_have_come() const {
  pollfd wanted{fd_, POLLIN, 0};
  const int ready = ::poll(&wanted, 1, stop_requested_ ? kMostWait : -1);
  // What else can be wrong, read() says better.
  return ready > 0 || (ready < 0 && errno != EINTR);
}

bool LineReader::read_more() {
  while (!ended_) {
    if (stop_requested_ && stop_requested_()) return false;
    if (!bytes_have_come()) continue;
    const ssize_t n = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    if (n > 0) {
      end_ += static_cast<size_t>(n);
      return true;
    }
    if (n == 0) ended_ = true;
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      throw Error(ExitCode::kInputInvalid, name_, "cannot read: " + std::generic_category().message(errno));
    }
  }
  return false;
}

}  // namespace brume::batch

#include "standard_error.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>

#include "signals.h"

namespace brume::cli {

namespace {

// A stop may be asked for just before a wait, or while another thread waits.
constexpr int kLookForStops = 50;  // milliseconds
constexpr std::chrono::seconds kPatience{1};

bool is_out_of_patience() {
  const auto stop = stop_time();
  return stop && std::chrono::steady_clock::now() > *stop + kPatience;
}

/// Waits for room; false where there is none in time.
bool has_room() {
  pollfd output{STDERR_FILENO, POLLOUT, 0};
  while (true) {
    const int ready = ::poll(&output, 1, kLookForStops);
    // What else can be wrong, write() says better.
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
    if (is_out_of_patience()) return false;
  }
}

}  // namespace

void print_told(std::string_view text) {
  // A pipe that has room at all has room for so much, and takes it in one piece.
  constexpr size_t kMost = PIPE_BUF;
  while (!text.empty() && has_room()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), std::min(text.size(), kMost));
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;  // there is nobody to tell that
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace brume::cli

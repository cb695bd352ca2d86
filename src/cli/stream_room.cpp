#include "stream_room.h"

#include <poll.h>

#include <cerrno>
#include <chrono>

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

}  // namespace

bool has_room(int stream) {
  pollfd output{stream, POLLOUT, 0};
  while (true) {
    const int ready = ::poll(&output, 1, kLookForStops);
    // What else can be wrong, write() says better.
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
    if (is_out_of_patience()) return false;
  }
}

}  // namespace brume::cli

#pragma once
#include <chrono>
#include <optional>

namespace brume::cli {

/// From here on SIGINT, SIGTERM, SIGHUP and SIGUSR1 end the program at once with 128 + n. Without it the
/// first process of a container would pass over them, and one that came too late to stop anything would look
/// like a crash.
void end_at_signals();

/// Between its construction and destruction the first SIGINT, SIGTERM, SIGHUP or SIGUSR1 only asks for a stop
/// (stop_signal), and the second ends the program at once. Outside, a signal ends the program at once. One at
/// a time.
class PoliteStop {
 public:
  PoliteStop();
  ~PoliteStop();
  PoliteStop(const PoliteStop&) = delete;
  PoliteStop& operator=(const PoliteStop&) = delete;
};

/// The signal that asked for a stop, or 0.
int stop_signal();
/// When it did.
std::optional<std::chrono::steady_clock::time_point> stop_time();
/// The exit code of a program that `signal` ended.
constexpr int signal_exit_code(int signal) { return 128 + signal; }

/// Makes a closed pipe and a file beyond the size limit ordinary write errors.
void make_write_failures_errors();

}  // namespace brume::cli

#pragma once

namespace brume::cli {

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

/// Makes a closed pipe and a file beyond the size limit ordinary write errors.
void make_write_failures_errors();

}  // namespace brume::cli

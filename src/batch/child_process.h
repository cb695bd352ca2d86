#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace brume::batch {

/// A program we started, with pipes to its standard input and from its standard output. It is in a process
/// group of its own, so that keys on our terminal reach us alone.
class ChildProcess {
 public:
  /// Throws std::system_error if it cannot be started.
  explicit ChildProcess(const std::vector<std::string>& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int input() const { return input_; }
  int output() const { return output_; }
  void close_input();
  void send(int signal) const;

  struct End {
    int code = 0;
    int signal = 0;
    std::string text() const;  // "exit code 3", "signal 9"
  };
  /// Waits until it has ended, and leaves it there: it may still be sent signals.
  void await_end() const;
  /// Waits for its end, and lets go of it.
  End wait();

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
};

}  // namespace brume::batch

#pragma once
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace brume::testing {

/// Where the program's standard error goes: a pipe, or a terminal that is also its controlling one.
enum class Screen { kPipe, kTerminal };

/// How the program is started.
struct Start {
  std::vector<std::string> arguments;
  std::filesystem::path directory = ".";          // that it works in
  std::optional<std::filesystem::path> out = {};  // standard output, instead of being captured
  std::optional<std::filesystem::path> err = {};  // standard error, the same
  Screen screen = Screen::kPipe;
  unsigned short columns = 0;                 // of the terminal; 0: it does not know
  std::optional<uint64_t> memory_limit = {};  // bytes of address space
  std::optional<uint64_t> file_limit = {};    // bytes of any file
  bool obeys_modes = false;                   // file modes hold for it, even where the tests run as root
  std::map<std::string, std::string> environment = {};  // beside that of the tests
  std::filesystem::path program = BRUME_PROGRAM;
};

/// What became of it.
struct Outcome {
  int code = -1;   // the exit code, if it exited
  int signal = 0;  // that killed it
  std::string out;
  std::string err;
};

/// The brume of this build, running; killed with the object.
class Program {
 public:
  explicit Program(const Start& start);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void send(int signal) const;
  pid_t pid() const { return child_; }
  /// Types on its terminal.
  void type(const std::string& keys) const;
  /// Reads until standard output or error holds `text`; false if that takes more than `seconds`, or it ended.
  bool wait_for(const std::string& text, double seconds);
  /// True if it runs on for `seconds`.
  bool runs_for(double seconds);
  /// Its outcome; past `seconds` it is killed, which `signal` shows.
  Outcome finish(double seconds = 120);
  /// Closes our end of its standard output.
  void close_output();

 private:
  /// Waits up to `seconds` for output; false at its end.
  bool read_some(double seconds);

  pid_t child_ = -1;
  int out_ = -1;
  int err_ = -1;  // or the terminal
  std::string out_text_;
  std::string err_text_;
};

/// Starts it and waits for its end.
Outcome run(const Start& start);

}  // namespace brume::testing

#include "program.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pty.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

namespace brume::testing {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void limit(__rlimit_resource resource, const std::optional<uint64_t>& bytes) {
  if (!bytes) return;
  const rlimit both{*bytes, *bytes};
  ::setrlimit(resource, &both);
}

/// In the child: never returns.
[[noreturn]] void become_program(const Start& start, int out, int err) {
  constexpr int kCannotStart = 126;
  ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
  if (start.out) out = ::open(start.out->c_str(), O_WRONLY);
  ::dup2(out, STDOUT_FILENO);
  if (start.err) err = ::open(start.err->c_str(), O_WRONLY);
  if (start.screen == Screen::kPipe) ::dup2(err, STDERR_FILENO);
  // Root without these is bound by file modes like anyone else; for others the calls just fail.
  if (start.obeys_modes) {
    ::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
    ::prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
  }
  if (::chdir(start.directory.c_str()) != 0) ::_exit(kCannotStart);
  std::vector<char*> words{const_cast<char*>("brume")};
  for (const std::string& word : start.arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  for (const auto& [name, value] : start.environment) ::setenv(name.c_str(), value.c_str(), 1);
  limit(RLIMIT_FSIZE, start.file_limit);
  limit(RLIMIT_AS, start.memory_limit);
  ::signal(SIGINT, SIG_DFL);  // ignored by what a shell starts in the background
  ::execv(start.program.c_str(), words.data());
  ::_exit(kCannotStart);
}

/// Appends what there is to read; false once the other end is closed.
bool drain(int& fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<size_t>(n));
    return true;
  }
  if (n < 0 && errno == EINTR) return true;
  ::close(std::exchange(fd, -1));  // a terminal ends with EIO
  return false;
}

}  // namespace

Program::Program(const Start& start) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0)
    throw std::runtime_error("no pipe");
  int terminal = -1;
  winsize size{};
  size.ws_col = start.columns;
  child_ = start.screen == Screen::kTerminal ? ::forkpty(&terminal, nullptr, nullptr, &size) : ::fork();
  if (child_ < 0) throw std::runtime_error("no process");
  if (child_ == 0) become_program(start, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
  if (terminal < 0) return;
  ::close(err_);
  err_ = terminal;
}

Program::~Program() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  if (out_ >= 0) ::close(out_);
  if (err_ >= 0) ::close(err_);
}

void Program::send(int signal) const { ::kill(child_, signal); }

void Program::type(const std::string& keys) const {
  if (::write(err_, keys.data(), keys.size()) < 0) throw std::runtime_error("no terminal");
}

void Program::close_output() { ::close(std::exchange(out_, -1)); }

bool Program::read_some(double seconds) {
  std::array<pollfd, 2> both{{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};  // poll passes over descriptor -1
  if (out_ < 0 && err_ < 0) return false;
  const int ready = ::poll(both.data(), both.size(), std::max(0, static_cast<int>(seconds * 1000)));
  if (ready <= 0) return true;
  if (both[0].revents != 0) drain(out_, out_text_);
  if (both[1].revents != 0) drain(err_, err_text_);
  return true;
}

bool Program::wait_for(const std::string& text, double seconds) {
  const auto start = Clock::now();
  const auto seen = [&] {
    return out_text_.find(text) != std::string::npos || err_text_.find(text) != std::string::npos;
  };
  while (!seen()) {
    if (seconds_since(start) > seconds || !read_some(0.05)) return seen();
  }
  return true;
}

bool Program::runs_for(double seconds) {
  const auto start = Clock::now();
  while (seconds_since(start) < seconds) {
    if (!read_some(0.05)) return false;
  }
  return true;
}

Outcome Program::finish(double seconds) {
  const auto start = Clock::now();
  while (seconds_since(start) < seconds && read_some(0.05)) {
  }
  int status = 0;
  while (::waitpid(child_, &status, WNOHANG) == 0) {
    if (seconds_since(start) > seconds) ::kill(child_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  child_ = -1;
  Outcome outcome;
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  outcome.out = out_text_;
  outcome.err = err_text_;
  return outcome;
}

Outcome run(const Start& start) { return Program(start).finish(); }

}  // namespace brume::testing

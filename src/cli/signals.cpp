#include "signals.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

#include "brume/base/file.h"

namespace brume::cli {

namespace {

using Clock = std::chrono::steady_clock;

// A signal handler can reach nothing but variables of static lifetime.
volatile std::sig_atomic_t caught = 0;
std::atomic<Clock::rep> caught_at = 0;

// SIGUSR1: batch systems warn with it that a job's time is nearly over.
constexpr std::array<int, 4> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

extern "C" void end_at_once(int signal) {
  remove_unfinished_file();
  _exit(signal_exit_code(signal));
}

extern "C" void remember(int signal) {
  if (caught != 0) end_at_once(signal);
  caught_at = Clock::now().time_since_epoch().count();
  caught = signal;
}

/// A handler must not run on the stack that it finds: kernels of oneDNN (until 3.11.2) use the stack pointer
/// for an address in the heap, and what the system writes below it there for a handler destroys the heap. The
/// system prefers a process's first thread, which calls this; another one takes a signal only while the
/// first has one already, and then the program ends.
void use_own_stack() {
  alignas(64) static std::array<std::byte, size_t{64} << 10> stack;
  stack_t own{};
  own.ss_sp = stack.data();
  own.ss_size = stack.size();
  ::sigaltstack(&own, nullptr);
}

void handle(void (*handler)(int)) {
  use_own_stack();
  for (const int signal : kSignals) {
    struct sigaction action {};
    // A signal that the caller had switched off (nohup) stays off.
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK;  // and no SA_RESTART: waiting for the reader of a pipe ends
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

PoliteStop::PoliteStop() { handle(remember); }
PoliteStop::~PoliteStop() { handle(end_at_once); }

void end_at_signals() { handle(end_at_once); }

int stop_signal() { return caught; }

std::optional<Clock::time_point> stop_time() {
  if (caught == 0) return std::nullopt;
  return Clock::time_point(Clock::duration(caught_at.load()));
}

void make_write_failures_errors() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace brume::cli

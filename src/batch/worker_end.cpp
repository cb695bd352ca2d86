#include "worker_end.h"

#include <csignal>

namespace brume::batch {

namespace {

bool is(const ChildProcess::End& end, ExitCode code) {
  return end.signal == 0 && end.code == static_cast<int>(code);
}

}  // namespace

bool WorkerEnd::is_hopeless() const {
  return is(process, ExitCode::kUsage) || is(process, ExitCode::kModelInvalid);
}

std::string WorkerEnd::cause() const { return told.empty() ? process.text() : told; }

std::string WorkerEnd::advice() const {
  if (!told.empty()) return told;
  // Who is killed has left no message; what fails before it can tell us has one on standard error.
  std::string remedy = "draw without --devices to see where";
  if (process.signal == 0) remedy = "see its message above";
  if (process.signal == SIGKILL) remedy = "if memory was short, use fewer workers: --devices cpu:1";
  return "ended with " + process.text() + "; " + remedy;
}

ExitCode WorkerEnd::exit_code() const {
  const bool says_it_all = is_hopeless() || is(process, ExitCode::kOutOfMemory);
  return says_it_all ? static_cast<ExitCode>(process.code) : ExitCode::kGpuFault;
}

}  // namespace brume::batch

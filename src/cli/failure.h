#pragma once
#include <functional>
#include <string>

#include "brume/base/error.h"

namespace brume::cli {

/// What ends a run: its exit code, and a line that says what, where and what to do.
struct Failure {
  ExitCode code;
  std::string text;
};

/// Of the exception that is being handled.
Failure current_failure();

/// "brume: MESSAGE" on standard error; the exit code.
int fail(ExitCode code, const std::string& message);

/// The exit code of `work`. What it throws becomes one line on standard error.
int told_as_line(const std::function<int()>& work);

}  // namespace brume::cli

#include "failure.h"

#include <exception>
#include <new>

#include "brume/base/escape.h"
#include "standard_error.h"

namespace brume::cli {

namespace {

std::string first_line(const std::string& text) { return escape_control(text.substr(0, text.find('\n'))); }

}  // namespace

int fail(ExitCode code, const std::string& message) {
  print_told("brume: " + message + "\n");
  return static_cast<int>(code);
}

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::kOutOfMemory,
            "out of memory; try a smaller size, a smaller --batch-size or --vae-tiling"};
  } catch (const std::exception& error) {
    return {ExitCode::kItemsFailed, "internal error: " + first_line(error.what())};
  }
}

int told_as_line(const std::function<int()>& work) {
  try {
    return work();
  } catch (const std::exception&) {
    const Failure failure = current_failure();
    return fail(failure.code, failure.text);
  }
}

}  // namespace brume::cli

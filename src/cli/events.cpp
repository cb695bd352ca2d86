#include "events.h"

#include <exception>

#include "failure.h"
#include "standard_error.h"

namespace brume::cli {

using nlohmann::json;

void print_event(const json& event) {
  print_told(event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

int fail_by_event(ExitCode code, const std::string& message) {
  print_event({{"event", "error"}, {"code", static_cast<int>(code)}, {"text", message}});
  return static_cast<int>(code);
}

bool ask_for_events(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front() != "batch") return false;
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--progress=jsonl" || (arguments[i - 1] == "--progress" && arguments[i] == "jsonl"))
      return true;
  }
  return false;
}

int with_errors_as(ErrorsAs kind, const std::function<int()>& work) {
  try {
    return work();
  } catch (const std::exception&) {
    if (kind == ErrorsAs::kLines) throw;
    const Failure failure = current_failure();
    return fail_by_event(failure.code, failure.text);
  }
}

}  // namespace brume::cli

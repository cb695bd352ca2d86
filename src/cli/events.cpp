#include "events.h"

#include <exception>

#include "failure.h"
#include "standard_error.h"

namespace brume::cli {

using nlohmann::json;

void print_event(const json& event) {
  print_told(event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

void print_error_event(int code, const std::string& text) {
  print_event({{"event", "error"}, {"code", code}, {"text", text}});
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
    print_error_event(static_cast<int>(failure.code), failure.text);
    return static_cast<int>(failure.code);
  }
}

}  // namespace brume::cli

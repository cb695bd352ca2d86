#include "events.h"

#include <exception>

#include "failure.h"
#include "standard_error.h"

namespace brume::cli {

using nlohmann::json;

void print_event(const json& event) {
  print_told(event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

int with_errors_as(ErrorsAs kind, const std::function<int()>& work) {
  try {
    return work();
  } catch (const std::exception&) {
    if (kind == ErrorsAs::kLines) throw;
    const Failure failure = current_failure();
    print_event({{"event", "error"}, {"code", static_cast<int>(failure.code)}, {"text", failure.text}});
    return static_cast<int>(failure.code);
  }
}

}  // namespace brume::cli

#include "events.h"

#include <cstdio>

#include "brume/base/error.h"

namespace brume::cli {

using nlohmann::json;

void print_event(const json& event) {
  std::fprintf(stderr, "%s\n", event.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
}

int with_errors_as(ErrorsAs kind, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (kind == ErrorsAs::kLines) throw;
    print_event({{"event", "error"}, {"code", static_cast<int>(error.code())}, {"text", error.what()}});
    return static_cast<int>(error.code());
  }
}

}  // namespace brume::cli

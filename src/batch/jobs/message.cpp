#include "message.h"

#include "brume/base/error.h"
#include "brume/base/escape.h"

namespace brume::batch {

void refuse(const std::string& where, const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kInputInvalid, where, problem, remedy);
}

std::string shortened(std::string_view text) {
  constexpr size_t kMostShown = 60;
  return bounded(text, kMostShown);
}

}  // namespace brume::batch

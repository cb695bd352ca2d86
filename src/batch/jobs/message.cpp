#include "message.h"

#include "brume/base/error.h"

namespace brume::batch {

void refuse(const std::string& where, const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kInputInvalid, where, problem, remedy);
}

std::string shortened(std::string_view text) {
  constexpr size_t kMostShown = 60;
  if (text.size() <= kMostShown) return std::string(text);
  size_t end = kMostShown;
  // Not within a character of UTF-8.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace brume::batch

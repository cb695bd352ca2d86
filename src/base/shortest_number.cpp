#include "brume/base/shortest_number.h"

#include <array>
#include <charconv>

namespace brume {

std::string shortest_number(double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

}  // namespace brume

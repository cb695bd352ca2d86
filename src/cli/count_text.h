#pragma once
#include <cstdint>
#include <string>

namespace brume::cli {

/// "1 picture", "2 pictures"; `many` where an s is not all that more than one takes.
inline std::string count_text(int64_t count, const std::string& one, const std::string& many = {}) {
  return std::to_string(count) + " " + (count == 1 ? one : many.empty() ? one + "s" : many);
}

}  // namespace brume::cli

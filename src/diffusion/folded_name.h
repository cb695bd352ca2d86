#pragma once
#include <string>
#include <string_view>

namespace brume {

/// A name as it is compared: people write "DPM++ 2M", "dpm++2m", "dpmpp_2m" and "Dpm++ 2m".
inline std::string folded(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    text += c == '+' ? 'p' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return text;
}

}  // namespace brume

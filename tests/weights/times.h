#pragma once
#include <cstddef>
#include <string>

namespace brume::testing_corpus {

/// `text`, `count` times.
inline std::string times(const std::string& text, size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace brume::testing_corpus

#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace brume::batch {

struct Word {
  std::string text;     // without its quotes and backslashes
  bool quoted = false;  // it begins with a quote or a backslash: it is no option
};

/// The words of a line as a shell, and Python's shlex.split, takes them: one at a time, because a line can
/// have half a million.
class Words {
 public:
  explicit Words(std::string_view line) : line_(line) {}

  /// Nothing at the end of the line. Throws the reason if a quote is left open.
  std::optional<Word> next();

 private:
  void take_quoted(std::string& word);

  std::string_view line_;
  size_t at_ = 0;
};

}  // namespace brume::batch

#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace brume::batch {

struct Word {
  std::string text;     // without its quotes and backslashes
  bool quoted = false;  // it begins with a quote or a backslash: it is no option
};

/// The words of a line as a shell, and Python's shlex.split, takes them. Throws the reason if a quote is left
/// open.
std::vector<Word> split_words(std::string_view line);

}  // namespace brume::batch

#include "words.h"

#include "line_kinds.h"
#include "message.h"

namespace brume::batch {

namespace {

/// Appends what stands in the quotes that open at `at` to `word`; `at` moves behind the closing one.
void take_quoted(std::string_view line, size_t& at, std::string& word) {
  const char quote = line[at++];
  while (at < line.size() && line[at] != quote) {
    // In double quotes a backslash keeps a quote and another backslash, and else is itself: "\(" has two.
    const bool escapes = quote == '"' && line[at] == '\\' && at + 1 < line.size() &&
                         (line[at + 1] == '"' || line[at + 1] == '\\');
    if (escapes) ++at;
    word += line[at++];
  }
  if (at == line.size()) {
    refuse("", std::string("a ") + quote + " is never closed",
           "close it, put \\ before it, or put the text that has it in the other quotes");
  }
  ++at;
}

Word take_word(std::string_view line, size_t& at) {
  Word word;
  word.quoted = line[at] == '"' || line[at] == '\'' || line[at] == '\\';
  while (at < line.size() && kBlanks.find(line[at]) == std::string_view::npos) {
    if (line[at] == '"' || line[at] == '\'') {
      take_quoted(line, at, word.text);
      continue;
    }
    if (line[at] == '\\' && ++at == line.size()) refuse("", "ends in a \\", "write \\\\ or take it out");
    word.text += line[at++];
  }
  return word;
}

}  // namespace

std::vector<Word> split_words(std::string_view line) {
  std::vector<Word> words;
  for (size_t at = line.find_first_not_of(kBlanks); at < line.size();
       at = line.find_first_not_of(kBlanks, at)) {
    words.push_back(take_word(line, at));
  }
  return words;
}

}  // namespace brume::batch

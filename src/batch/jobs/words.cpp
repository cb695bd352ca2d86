#include "words.h"

#include "line_kinds.h"
#include "message.h"

namespace brume::batch {

namespace {

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }
bool is_quote(char c) { return c == '"' || c == '\''; }

}  // namespace

/// Appends what stands in the quotes that open here.
void Words::take_quoted(std::string& word) {
  const char quote = line_[at_++];
  while (at_ < line_.size() && line_[at_] != quote) {
    // In double quotes a backslash keeps a quote and another backslash, and else is itself: "\(" has two.
    const char after = at_ + 1 < line_.size() ? line_[at_ + 1] : ' ';
    if (quote == '"' && line_[at_] == '\\' && (after == '"' || after == '\\')) ++at_;
    word += line_[at_++];
  }
  if (at_ == line_.size()) {
    refuse("", std::string("a ") + quote + " is never closed",
           "close it, put \\ before it, or put the text that has it in the other quotes");
  }
  ++at_;
}

std::optional<Word> Words::next() {
  while (at_ < line_.size() && is_blank(line_[at_])) ++at_;
  if (at_ == line_.size()) return std::nullopt;
  Word word;
  word.quoted = is_quote(line_[at_]) || line_[at_] == '\\';
  while (at_ < line_.size() && !is_blank(line_[at_])) {
    if (is_quote(line_[at_])) {
      take_quoted(word.text);
      continue;
    }
    if (line_[at_] == '\\' && ++at_ == line_.size()) refuse("", "ends in a \\", "write \\\\ or take it out");
    word.text += line_[at_++];
  }
  return word;
}

}  // namespace brume::batch

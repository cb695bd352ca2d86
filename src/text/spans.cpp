#include "spans.h"

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/text/unicode.h"

namespace brume {

namespace {

size_t last_code_point(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return start;
}

char32_t code_point_at(std::string_view text, size_t at) { return next_code_point(text, at); }

bool is_word(char32_t c) {
  const CharClass kind = char_class(c);
  return c == U'_' || kind == CharClass::kLetter || kind == CharClass::kNumber;
}

}  // namespace

void check_utf8(std::string_view prompt) {
  if (is_utf8(prompt)) return;
  throw Error(ExitCode::kInputInvalid, "prompt",
              "not valid UTF-8: \"" + std::string(prompt.substr(0, 80)) + "\"", "save the text as UTF-8");
}

std::string_view trimmed_left(std::string_view text) {
  size_t begin = 0;
  for (size_t at = 0; at < text.size(); begin = at) {
    if (char_class(next_code_point(text, at)) != CharClass::kSpace) break;
  }
  return text.substr(begin);
}

std::string_view trimmed_right(std::string_view text) {
  while (!text.empty()) {
    const size_t last = last_code_point(text);
    if (char_class(code_point_at(text, last)) != CharClass::kSpace) break;
    text = text.substr(0, last);
  }
  return text;
}

size_t find_word(std::string_view text, std::string_view word, size_t from) {
  for (size_t at = text.find(word, from); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = at == 0 || !is_word(code_point_at(text, last_code_point(text.substr(0, at))));
    const bool ends = end == text.size() || !is_word(code_point_at(text, end));
    if (begins && ends) return at;
  }
  return std::string_view::npos;
}

std::string excerpt(std::string_view text) {
  constexpr size_t kShown = 24;
  if (text.size() <= kShown) return '"' + std::string(text) + '"';
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return '"' + std::string(text.substr(0, end)) + "...\"";
}

}  // namespace brume

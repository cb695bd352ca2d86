#include <optional>
#include <string>

#include "line_kinds.h"
#include "message.h"
#include "option.h"
#include "words.h"

namespace brume::batch {

namespace {

bool is_option(const Word& word) {
  return !word.quoted && word.text.starts_with("--") && word.text.size() > 2;
}

void append(std::optional<std::string>& value, const std::string& word) {
  if (value) {
    *value += ' ';
    *value += word;
  } else {
    value = word;
  }
}

}  // namespace

Request read_option_line(std::string_view line) {
  const std::vector<Word> words = split_words(line);
  Request request;
  for (size_t i = 0; i < words.size();) {
    const std::string& word = words[i++].text;
    const size_t equals = word.find('=');
    const std::string_view option = std::string_view(word).substr(0, equals);
    const std::string_view name = option_name(option);
    if (name.empty()) {
      refuse(shortened(option), "is not an option",
             "a line that begins with -- has options only, such as --prompt \"...\"; put a text that begins "
             "so into {\"prompt\": \"...\"}");
    }
    std::optional<std::string> value;
    if (equals != std::string::npos) value = word.substr(equals + 1);
    // As A1111 does it, a text without quotes goes on up to the next option.
    while (i < words.size() && !is_option(words[i])) append(value, words[i++].text);
    add_option(request, name, value);
  }
  return request;
}

}  // namespace brume::batch

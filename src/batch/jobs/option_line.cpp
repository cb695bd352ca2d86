#include <optional>
#include <string>
#include <utility>

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
  Words words(line);
  Request request;
  for (std::optional<Word> word = words.next(); word;) {
    const std::string option = std::move(word->text);
    const size_t equals = option.find('=');
    const std::string_view name = option_name(option);
    if (name.empty()) {
      refuse(shortened(std::string_view(option).substr(0, equals)), "is not an option",
             "a line that begins with -- has options only, such as --prompt \"...\"; put a text that begins "
             "so into {\"prompt\": \"...\"}");
    }
    std::optional<std::string> value;
    if (equals != std::string::npos) value = option.substr(equals + 1);
    // As A1111 does it, a text without quotes goes on up to the next option.
    for (word = words.next(); word && !is_option(*word); word = words.next()) append(value, word->text);
    add_option(request, name, value);
  }
  return request;
}

}  // namespace brume::batch

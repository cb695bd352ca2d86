#include <string>

#include "line_kinds.h"
#include "option.h"
#include "setting.h"

namespace brume::batch {

namespace {

/// Where the next option of `text` begins, from `at` on, or the end. Only what has a blank before it counts:
/// state--of--the--art is text.
size_t next_option(std::string_view text, size_t at) {
  for (at = text.find("--", at); at != std::string_view::npos; at = text.find("--", at + 1)) {
    const bool apart = at > 0 && kBlanks.find(text[at - 1]) != std::string_view::npos;
    if (apart && !option_name(text.substr(at)).empty()) return at;
  }
  return text.size();
}

void add_option_of_text(Request& request, std::string_view option) {
  const std::string_view name = option_name(option);
  std::string_view value = option.substr(2 + name.size());
  if (value.starts_with('=')) value.remove_prefix(1);
  value = trimmed(value);
  add_option(request, name, value.empty() ? std::nullopt : std::optional<std::string>(value));
}

}  // namespace

Request read_text_line(std::string_view line) {
  static const Field& prompt = field_named("prompt", "");
  Request request;
  size_t end = next_option(line, 0);
  request.add(prompt, {checked(prompt, std::string(trimmed(line.substr(0, end))))});
  while (end < line.size()) {
    const size_t begin = end;
    end = next_option(line, begin + 2);
    add_option_of_text(request, line.substr(begin, end - begin));
  }
  return request;
}

}  // namespace brume::batch

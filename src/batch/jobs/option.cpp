#include "option.h"

#include <charconv>

#include "line_kinds.h"
#include "message.h"
#include "refused_names.h"
#include "setting.h"

namespace brume::batch {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_name(char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

int64_t whole_number(const std::string& text, const std::string& shown) {
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size())
    refuse(shown, '"' + shortened(text) + "\" is not a whole number");
  return value;
}

}  // namespace

std::string_view option_name(std::string_view text) {
  constexpr size_t kDashes = 2;
  if (!text.starts_with("--") || text.size() == kDashes || !is_letter(text[kDashes])) return {};
  size_t end = kDashes;
  while (end < text.size() && is_name(text[end])) ++end;
  const bool ends =
      end == text.size() || text[end] == '=' || kBlanks.find(text[end]) != std::string_view::npos;
  return ends ? text.substr(kDashes, end - kDashes) : std::string_view();
}

void add_option(Request& request, std::string_view name, const std::optional<std::string>& value) {
  const std::string shown = "--" + shortened(name);
  const std::string known_as = folded(name);
  if (is_harmless(known_as)) return;
  if (asks_for_copies(known_as)) {
    if (!value) refuse(shown, "its value is missing", "give it one or take it out");
    request.repeat(whole_number(*value, shown), shown);
    return;
  }
  const Field* field = known_as == kId ? nullptr : &field_named(known_as, shown);
  const bool is_switch = field != nullptr && std::holds_alternative<Field::MemberOf<bool>>(field->member);
  if (!value && !is_switch) refuse(shown, "its value is missing", "give it one or take it out");
  if (field == nullptr) {
    request.set_id(*value);
  } else if (!value) {
    request.add(*field, {true});
  } else {
    request.add(*field, settings_from_text(*field, *value));
  }
}

}  // namespace brume::batch

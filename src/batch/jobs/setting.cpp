#include "setting.h"

#include <charconv>
#include <cmath>
#include <system_error>
#include <type_traits>
#include <utility>

#include "brume/base/shortest_number.h"
#include "line_kinds.h"
#include "message.h"

namespace brume::batch {

namespace {

/// T of an optional T PictureSettings::* pointer.
template <class Member>
using ValueOf = typename std::remove_reference_t<decltype(std::declval<PictureSettings&>().*
                                                          std::declval<Member>())>::value_type;

template <class T>
bool is_of(const Field& field) {
  return std::holds_alternative<Field::MemberOf<T>>(field.member);
}

std::string quoted(std::string_view text) { return '"' + shortened(text) + '"'; }

std::string shown(const Setting& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return quoted(*text);
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  return shortest_number(std::get<double>(value));
}

[[noreturn]] void refuse_value(const Field& field, const std::string& value, const std::string& remedy = {}) {
  refuse(std::string(field.name), value + " is not " + expectation(field), remedy);
}

void check_text(const Field& field, const std::string& text) {
  if (text.find('\0') != std::string::npos)
    refuse(std::string(field.name), "holds a NUL character", "take it out");
  if (text.size() > static_cast<size_t>(field.most)) {
    refuse(
        std::string(field.name),
        "has " + std::to_string(text.size()) + " bytes, more than the limit of " + std::to_string(field.most),
        "shorten it");
  }
}

template <class Number>
bool within(const Field& field, Number value) {
  return value >= static_cast<Number>(field.least) && value <= static_cast<Number>(field.most);
}

template <class Number>
Setting number_from_text(const Field& field, std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, value);
  if (failed != std::errc{} || stop != end || !within(field, value)) refuse_value(field, quoted(text));
  return value;
}

Setting truth_from_text(const Field& field, std::string_view text) {
  const std::string word = folded(text);
  if (word != "true" && word != "false") refuse_value(field, quoted(text));
  return word == "true";
}

Setting setting_from_text(const Field& field, std::string_view text) {
  if (is_of<int64_t>(field)) return number_from_text<int64_t>(field, text);
  if (is_of<double>(field)) return number_from_text<double>(field, text);
  if (is_of<bool>(field)) return truth_from_text(field, text);
  return checked(field, std::string(text));
}

}  // namespace

Setting checked(const Field& field, Setting value) {
  if (const auto* whole = std::get_if<int64_t>(&value); whole != nullptr && is_of<double>(field))
    value = static_cast<double>(*whole);
  // As tables of numbers write whole ones: 20.0
  constexpr double kMostExact = 0x1p53;
  if (const auto* real = std::get_if<double>(&value); real != nullptr && is_of<int64_t>(field)) {
    if (std::abs(*real) <= kMostExact && std::trunc(*real) == *real) value = static_cast<int64_t>(*real);
  }
  if (value.index() != field.member.index()) {
    const bool is_text = std::holds_alternative<std::string>(value);
    refuse_value(field, shown(value), is_text ? "leave out the quotes" : "");
  }
  if (const auto* text = std::get_if<std::string>(&value)) check_text(field, *text);
  const auto* whole = std::get_if<int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  if ((whole != nullptr && !within(field, *whole)) || (real != nullptr && !within(field, *real)))
    refuse_value(field, shown(value));
  return value;
}

std::vector<Setting> settings_from_text(const Field& field, std::string_view text) {
  std::vector<Setting> values;
  size_t comma = 0;
  do {
    comma = field.lists_in_text ? text.find(',') : std::string_view::npos;
    const std::string_view one = text.substr(0, comma);
    values.push_back(setting_from_text(field, field.lists_in_text ? trimmed(one) : one));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  } while (comma != std::string_view::npos && values.size() <= kMostValues);
  return values;
}

void apply(const Field& field, const Setting& value, PictureSettings& settings) {
  std::visit([&](auto member) { settings.*member = std::get<ValueOf<decltype(member)>>(value); },
             field.member);
}

std::string expectation(const Field& field) {
  if (is_of<std::string>(field)) return "a text";
  if (is_of<bool>(field)) return "true or false";
  return std::string(is_of<int64_t>(field) ? "a whole number" : "a number") + " from " +
         std::to_string(field.least) + " to " + std::to_string(field.most);
}

}  // namespace brume::batch

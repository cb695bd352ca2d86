#include "brume/batch/picture_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/shortest_number.h"
#include "brume/text/unicode.h"

namespace brume::batch {

namespace {

constexpr std::string_view kEnd = ".png";
constexpr size_t kMostBytes = 200;
constexpr int kMostDigits = 20;
constexpr int kMostDecimals = 6;

enum class Kind { kNumber, kDecimal, kText };

constexpr std::array<std::pair<std::string_view, Kind>, 11> kFields{{
    {"index", Kind::kNumber},
    {"line", Kind::kNumber},
    {"id", Kind::kText},
    {"seed", Kind::kNumber},
    {"prompt", Kind::kText},
    {"width", Kind::kNumber},
    {"height", Kind::kNumber},
    {"steps", Kind::kNumber},
    {"cfg_scale", Kind::kDecimal},
    {"sampler", Kind::kText},
    {"key", Kind::kText},
}};

[[noreturn]] void refuse(const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kUsage, "file names", problem, remedy);
}

std::string known_fields() {
  std::string names;
  for (const auto& [name, kind] : kFields) names += (names.empty() ? "" : " ") + std::string(name);
  return names;
}

Kind kind_of(std::string_view field) {
  const auto* found =
      std::find_if(kFields.begin(), kFields.end(), [&](const auto& entry) { return entry.first == field; });
  if (found == kFields.end())
    refuse("there is no {" + std::string(field) + "}", "the fields are " + known_fields());
  return found->second;
}

/// The whole of `text` as a number from 1 to `most`, without zeros in front; -1 if it is none.
int small_number(std::string_view text, int most) {
  int value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failed == std::errc() && end == text.data() + text.size() && text.front() != '0';
  return whole && value >= 1 && value <= most ? value : -1;
}

[[noreturn]] void refuse_form(const std::string& inside, Kind kind) {
  const char* remedy = "a text may have its most characters: {prompt:40}";
  if (kind == Kind::kNumber) remedy = "a number may have its least digits: {index:05d}";
  if (kind == Kind::kDecimal) remedy = "it may have its decimals: {cfg_scale:.1f}";
  refuse("{" + inside + "} has no such form", remedy);
}

/// The N of "0Nd"; 0 for "d".
int digits_of(std::string_view form) {
  if (form == "d") return 0;
  if (form.size() < 3 || !form.starts_with('0') || !form.ends_with('d')) return -1;
  return small_number(form.substr(1, form.size() - 2), kMostDigits);
}

/// The N of ".Nf".
int decimals_of(std::string_view form) {
  if (form.size() < 3 || !form.starts_with('.') || !form.ends_with('f')) return -1;
  const std::string_view number = form.substr(1, form.size() - 2);
  return number == "0" ? 0 : small_number(number, kMostDecimals);
}

/// Letters and numbers of any script, dots and dashes, and what stands on a letter.
bool is_plain(char32_t c, bool behind_plain) {
  const CharClass kind = char_class(c);
  return kind == CharClass::kLetter || kind == CharClass::kNumber || c == '.' || c == '-' ||
         (behind_plain && is_mark(c));
}

/// Runs of anything else become one _, except at the ends; then the first `most` characters.
std::string reduced(std::string_view text, size_t most) {
  std::string known;  // of what is not UTF-8, the ASCII
  if (!is_utf8(text)) {
    for (const char c : text) known += static_cast<unsigned char>(c) < 0x80 ? c : ' ';
    text = known;
  }
  std::string plain;
  bool gap = false;
  size_t count = 0;
  for (size_t at = 0; at < text.size() && count < most;) {
    const size_t begin = at;
    if (!is_plain(next_code_point(text, at), !gap && count > 0)) {
      gap = true;
      continue;
    }
    if (gap && count > 0) {
      plain += '_';
      ++count;
    }
    gap = false;
    if (count == most) break;
    plain += text.substr(begin, at - begin);
    ++count;
  }
  while (plain.ends_with('_')) plain.pop_back();
  return plain;
}

template <class Number>
std::string padded(Number number, int digits) {
  std::string text = std::to_string(number);
  if (text.size() < static_cast<size_t>(digits))
    text.insert(0, static_cast<size_t>(digits) - text.size(), '0');
  return text;
}

std::string decimal(double value, int decimals) {
  if (decimals < 0) return shortest_number(value);
  std::array<char, 400> text{};
  char* const last = text.data() + text.size();
  return {text.data(), std::to_chars(text.data(), last, value, std::chars_format::fixed, decimals).ptr};
}

/// At most `most` bytes, and no part of a character.
void cut(std::string& text, size_t most) {
  text.resize(std::min(text.size(), most));
  while (!is_utf8(text)) text.pop_back();
}

void check_literals(const std::string& text) {
  if (text.find('/') != std::string::npos)
    refuse("the template has a /", "names are those of files in the output directory, not of paths");
  if (escape_control(text) != text)
    refuse("the template has control bytes or is not UTF-8", "leave them out");
  if (text.starts_with('.') || text.starts_with('-'))
    refuse("the template begins with a dot or a dash", "begin with a letter, a digit or a field");
}

}  // namespace

PictureNames::PictureNames(const std::string& text) {
  check_literals(text);
  const std::string_view all =
      text.ends_with(kEnd) ? std::string_view(text).substr(0, text.size() - kEnd.size()) : text;
  if (all.empty()) refuse("the template is empty", std::string("the usual one is ") + kDefaultNames);
  std::string literal;
  for (size_t at = 0; at < all.size(); ++at) {
    const bool doubled = at + 1 < all.size() && all[at + 1] == all[at];
    if (all[at] != '{' && all[at] != '}') {
      literal += all[at];
    } else if (doubled) {
      literal += all[at++];
    } else if (all[at] == '}') {
      refuse("a } closes nothing", "write }} for a brace");
    } else {
      const size_t end = all.find('}', at);
      if (end == std::string_view::npos) refuse("a { is not closed", "write {{ for a brace");
      if (!literal.empty()) parts_.push_back({.literal = literal, .field = {}});
      literal.clear();
      parts_.push_back(field_part(std::string(all.substr(at + 1, end - at - 1))));
      at = end;
    }
  }
  if (!literal.empty()) parts_.push_back({.literal = literal, .field = {}});
}

PictureNames::Part PictureNames::field_part(const std::string& inside) {
  const size_t colon = inside.find(':');
  Part part{.literal = {}, .field = inside.substr(0, colon)};
  const Kind kind = kind_of(part.field);
  if (colon == std::string::npos) return part;
  const std::string_view form = std::string_view(inside).substr(colon + 1);
  if (form.empty()) refuse_form(inside, kind);
  int number = -1;
  if (kind == Kind::kNumber) number = part.digits = digits_of(form);
  if (kind == Kind::kDecimal) number = part.decimals = decimals_of(form);
  if (kind == Kind::kText) {
    number = small_number(form, static_cast<int>(kMostBytes));
    part.most = static_cast<size_t>(number);
  }
  if (number < 0) refuse_form(inside, kind);
  return part;
}

std::string PictureNames::text_of(const Part& part, const PictureLabel& label) {
  const Recipe& recipe = label.recipe;
  if (part.field == "index") return padded(label.index, part.digits);
  if (part.field == "line") return padded(label.line, part.digits);
  if (part.field == "seed") return padded(recipe.seed, part.digits);
  if (part.field == "width") return padded(recipe.width, part.digits);
  if (part.field == "height") return padded(recipe.height, part.digits);
  if (part.field == "steps") return padded(recipe.sampling.steps, part.digits);
  if (part.field == "cfg_scale") return reduced(decimal(recipe.sampling.cfg_scale, part.decimals), part.most);
  if (part.field == "id") return reduced(label.id, part.most);
  if (part.field == "prompt") return reduced(recipe.prompt, part.most);
  if (part.field == "sampler") return reduced(recipe.sampling.sampler, part.most);
  if (part.field == "key") return label.key.hex().substr(0, part.most);
  return part.literal;
}

std::string PictureNames::name_of(const PictureLabel& label, size_t key_digits) const {
  std::string name;
  for (const Part& part : parts_) name += text_of(part, label);
  name.erase(0, std::min(name.find_first_not_of(".-"), name.size()));
  if (name.empty()) name = label.key.hex().substr(0, 8);  // a prompt of nothing but {prompt} can do
  const std::string key = key_digits == 0 ? "" : "_" + label.key.hex().substr(0, key_digits);
  cut(name, kMostBytes - kEnd.size() - key.size());
  return name + key + std::string(kEnd);
}

}  // namespace brume::batch

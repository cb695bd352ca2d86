#include "brume/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "brume/base/error.h"

namespace brume {

namespace {

struct Range {
  char32_t first, last;
};

// The reference mixes three ages of Unicode: classes of 16, lower case of 17, normalisation of 9. The tables
// below are what tools/oracle/unicode_tables.py finds between them and utf8proc's Unicode 15.

/// Letters younger than Unicode 15.
constexpr std::array kYoungLetters = std::to_array<Range>({
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3}, {0x10D4A, 0x10D65},
    {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E},
    {0x11390, 0x113B5}, {0x113B7, 0x113B7}, {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0},
    {0x13460, 0x143FA}, {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D},
});

/// Numbers younger than Unicode 15.
constexpr std::array kYoungNumbers = std::to_array<Range>({
    {0x10D40, 0x10D49},
    {0x116D0, 0x116E3},
    {0x11BF0, 0x11BF9},
    {0x16130, 0x16139},
    {0x16D70, 0x16D79},
    {0x1CCF0, 0x1CCF9},
    {0x1E5F1, 0x1E5FA},
});

/// White space: the whole of it, since the reference's set is closed.
constexpr std::array kSpaces = std::to_array<Range>({
    {0x9, 0xD},
    {0x20, 0x20},
    {0x85, 0x85},
    {0xA0, 0xA0},
    {0x1680, 0x1680},
    {0x2000, 0x200A},
    {0x2028, 0x2029},
    {0x202F, 0x202F},
    {0x205F, 0x205F},
    {0x3000, 0x3000},
});

/// Marks younger than the reference's normaliser, to which they are starters that never compose; and
/// U+11930, whose one composition is as young.
constexpr std::array kInert = std::to_array<Range>({
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0xA82C, 0xA82C},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50},
    {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
    {0x11930, 0x11930}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
    {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97},
    {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
});

/// Capitals younger than Unicode 15: `step` 2 skips every other code point.
struct Capitals {
  char32_t first, last, step;
  int32_t distance;
};
constexpr std::array kYoungCapitals = std::to_array<Capitals>({
    {0x1C89, 0x1C89, 1, 1},
    {0xA7CB, 0xA7CB, 1, 0x264 - 0xA7CB},
    {0xA7CC, 0xA7CE, 2, 1},
    {0xA7D2, 0xA7D4, 2, 1},
    {0xA7DA, 0xA7DA, 1, 1},
    {0xA7DC, 0xA7DC, 1, 0x19B - 0xA7DC},
    {0x10D50, 0x10D65, 1, 0x20},
    {0x16EA0, 0x16EB8, 1, 0x1B},
});

bool within(std::span<const Range> ranges, char32_t c) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                      [](char32_t value, const Range& range) { return value < range.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

char32_t lower_case(char32_t c) {
  for (const Capitals& capitals : kYoungCapitals) {
    if (c >= capitals.first && c <= capitals.last && (c - capitals.first) % capitals.step == 0) {
      return static_cast<char32_t>(static_cast<int32_t>(c) + capitals.distance);
    }
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

void append_utf8(std::string& out, char32_t c) {
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

/// NFC of a stretch of text without inert code points: decomposes, sorts marks, composes. The sort is ours
/// because utf8proc's takes quadratic time on a long run of marks.
class Composer {
 public:
  explicit Composer(std::vector<char32_t>& out) : out_(out) {}

  void add(char32_t c) {
    utf8proc_int32_t parts[8];
    int last_boundary = 0;
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 8, UTF8PROC_DECOMPOSE,
                                           &last_boundary);
    if (n < 0 || n > 8) throw Error(ExitCode::kInputInvalid, "prompt", "cannot be normalised");
    stretch_.insert(stretch_.end(), parts, parts + n);
  }

  void flush() {
    for (size_t i = 0; i < stretch_.size(); ++i) {
      size_t end = i;
      while (end < stretch_.size() && combining_class(stretch_[end]) != 0) ++end;
      std::stable_sort(stretch_.begin() + static_cast<ptrdiff_t>(i),
                       stretch_.begin() + static_cast<ptrdiff_t>(end),
                       [](auto a, auto b) { return combining_class(a) < combining_class(b); });
      i = std::max(i, end);
    }
    const auto n =
        utf8proc_normalize_utf32(stretch_.data(), static_cast<utf8proc_ssize_t>(stretch_.size()),
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    out_.insert(out_.end(), stretch_.begin(), stretch_.begin() + n);
    stretch_.clear();
  }

 private:
  std::vector<char32_t>& out_;
  std::vector<utf8proc_int32_t> stretch_;
};

std::vector<char32_t> compose(std::string_view utf8) {
  std::vector<char32_t> out;
  out.reserve(utf8.size());
  Composer composer(out);
  for (size_t at = 0; at < utf8.size();) {
    const char32_t c = next_code_point(utf8, at);
    if (within(kInert, c)) {
      composer.flush();
      out.push_back(c);
    } else {
      composer.add(c);
    }
  }
  composer.flush();
  return out;
}

}  // namespace

CharClass char_class(char32_t c) {
  if (within(kSpaces, c)) return CharClass::kSpace;
  if (within(kYoungLetters, c)) return CharClass::kLetter;
  if (within(kYoungNumbers, c)) return CharClass::kNumber;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return CharClass::kLetter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return CharClass::kNumber;
  return CharClass::kOther;
}

bool is_mark(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

char32_t next_code_point(std::string_view utf8, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<uint8_t>(utf8[i])); };
  const char32_t lead = byte(at++);
  if (lead < 0x80) return lead;
  const int more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t c = lead & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) c = c << 6 | (byte(at++) & 0x3Fu);
  return c;
}

std::string normalize_prompt(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
  bool in_space = false;
  for (const char32_t c : compose(utf8)) {
    const bool space = within(kSpaces, c);
    if (space && !in_space) out += ' ';
    in_space = space;
    if (space) continue;
    if (c == 0x130) {  // the one capital whose lower case is two code points
      out += "i\xCC\x87";
    } else {
      append_utf8(out, lower_case(c));
    }
  }
  return out;
}

}  // namespace brume

#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace brume {

/// The classes that the tokenizer's pattern asks for: \s, \p{L}, \p{N} and the rest.
enum class CharClass { kSpace, kLetter, kNumber, kOther };

CharClass char_class(char32_t c);

/// \p{M}: an accent, or a vowel that is written on its consonant.
bool is_mark(char32_t c);

/// The code point at `at` of well-formed UTF-8; moves `at` behind it.
char32_t next_code_point(std::string_view utf8, size_t& at);

/// CLIP's normaliser on well-formed UTF-8: NFC, each run of white space to one space, then lower case one
/// code point at a time (so no final sigma rule), as transformers' CLIPTokenizer does it.
std::string normalize_prompt(std::string_view utf8);

}  // namespace brume

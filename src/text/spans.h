#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace brume {

// Stretches of well-formed UTF-8 that a prompt's readers look at.

/// Throws kInputInvalid for a prompt that is not UTF-8.
void check_utf8(std::string_view prompt);

/// `text` without the white space at its ends, of any script.
std::string_view trimmed_left(std::string_view text);
std::string_view trimmed_right(std::string_view text);

/// Where `word` stands from `from` on with no letter, digit or underscore beside it; npos if nowhere.
size_t find_word(std::string_view text, std::string_view word, size_t from = 0);

/// The beginning of `text` in quotes, for a message.
std::string excerpt(std::string_view text);

}  // namespace brume

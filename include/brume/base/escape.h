#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace brume {

/// `text` with control bytes (below 0x20, 0x7f, and the C1 set written in UTF-8) and bytes that are not UTF-8
/// as \xNN, so that a name from an untrusted file can neither move the cursor of a terminal nor break a log
/// line.
std::string escape_control(std::string_view text);

/// The first `most` bytes of a longer text, whole characters of UTF-8, with "..." for the rest.
std::string bounded(std::string_view text, size_t most);

/// True if `text` is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text);

}  // namespace brume

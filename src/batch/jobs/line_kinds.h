#pragma once
#include <optional>
#include <string_view>

#include "request.h"

namespace brume::batch {

/// What a line without its newline asks for; nothing if it is blank or a comment. Throws the reason if it is
/// bad.
std::optional<Request> read_line(std::string_view line);

/// The three kinds of lines, blanks at both ends taken off.
Request read_json_line(std::string_view line);
Request read_option_line(std::string_view line);
Request read_text_line(std::string_view line);

inline constexpr std::string_view kBlanks = " \t\r";

/// `text` without the blanks at its ends.
std::string_view trimmed(std::string_view text);

}  // namespace brume::batch

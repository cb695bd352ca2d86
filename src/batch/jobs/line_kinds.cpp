#include "line_kinds.h"

#include "brume/base/escape.h"
#include "message.h"

namespace brume::batch {

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<Request> read_line(std::string_view line) {
  // Where files were put one behind the other, a mark can stand before any line.
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  line = trimmed(line);
  if (line.empty() || line.starts_with('#')) return std::nullopt;
  if (line.find('\0') != std::string_view::npos)
    refuse("", "holds a NUL byte", "save the file as UTF-8 text");
  if (!is_utf8(line)) refuse("", "is not valid UTF-8", "save the file as UTF-8 text");
  Request request = line.starts_with('{')    ? read_json_line(line)
                    : line.starts_with("--") ? read_option_line(line)
                                             : read_text_line(line);
  request.check_ids();
  return request;
}

}  // namespace brume::batch

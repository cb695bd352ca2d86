#pragma once
#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

#include "brume/base/error.h"

namespace brume {

/// Parses exactly one JSON value from untrusted text: no duplicate keys at any level, nesting of at most
/// `max_depth`, nothing after the value. Throws Error(code) with `where`, the byte offset and the reason.
nlohmann::json parse_strict_json(std::string_view text, int max_depth, const std::string& where,
                                 ExitCode code);

}  // namespace brume

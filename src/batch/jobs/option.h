#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "request.h"

namespace brume::batch {

/// The name in an option's `text`, which begins with "--": up to '=', a blank or the end. Empty if it is not
/// an option: it must begin with a letter and go on with letters, digits, '-' and '_'.
std::string_view option_name(std::string_view text);

/// Adds what "--name value" asks for. Throws the reason if the name or the value is wrong.
void add_option(Request& request, std::string_view name, const std::optional<std::string>& value);

}  // namespace brume::batch

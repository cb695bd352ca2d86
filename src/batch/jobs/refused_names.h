#pragma once
#include <optional>
#include <string_view>

namespace brume::batch {

/// What to do about a name that other programs' job files have and brume cannot honour; nothing for any
/// other.
std::optional<std::string_view> why_refused(std::string_view folded_name);

/// Whether it is one that no picture depends on, and may be passed over.
bool is_harmless(std::string_view folded_name);

}  // namespace brume::batch

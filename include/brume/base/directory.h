#pragma once
#include <filesystem>
#include <functional>

#include "brume/base/error.h"

namespace brume {

/// Calls `visit` for each name in `directory`, in no order. Throws with `code` where the listing fails, also
/// half-way: what is left out silently would count as not there.
void for_each_entry(const std::filesystem::path& directory, ExitCode code,
                    const std::function<void(const std::filesystem::directory_entry&)>& visit);

}  // namespace brume

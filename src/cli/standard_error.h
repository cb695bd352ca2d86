#pragma once
#include <string_view>

namespace brume::cli {

/// What people and programs are told meanwhile. Waits for a reader who does not read; once a stop was asked
/// for only for a moment, after which what there is no room for is dropped: the stop must not wait for
/// anybody.
void print_told(std::string_view text);

}  // namespace brume::cli

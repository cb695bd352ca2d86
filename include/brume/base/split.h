#pragma once
#include <string_view>
#include <vector>

namespace brume {

/// The parts of a text between each `at`: one more than there are of it.
std::vector<std::string_view> split(std::string_view text, char at);

}  // namespace brume

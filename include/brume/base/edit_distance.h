#pragma once
#include <cstddef>
#include <string_view>

namespace brume {

/// How many letters must be put in, taken out, changed or exchanged with their neighbours to make `b` of `a`.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace brume

#pragma once
#include <string>

namespace brume {

/// The shortest digits that read back as the same number, whatever the locale: 7, 7.5.
std::string shortest_number(double value);

}  // namespace brume

#pragma once
#include <string>

namespace brume::bench {

/// With as many digits as are worth reading: "0.0123", "1.23", "12.3", "1234".
std::string number_text(double value);
/// As it would be typed: "7", "1.25".
std::string short_text(double value);
/// 0.0312 -> "3.1%"
std::string percent_text(double share);
/// The same with its sign: "+3.1%".
std::string signed_percent(double share);
/// "512 B", "12.3 MiB", "1.5 GiB"
std::string bytes_text(double bytes);

}  // namespace brume::bench

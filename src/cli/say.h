#pragma once
#include <string>

namespace brume::cli {

/// "brume: LINE" on standard error, control bytes escaped.
void say(const std::string& line);

}  // namespace brume::cli

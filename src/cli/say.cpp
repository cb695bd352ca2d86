#include "say.h"

#include <iostream>

#include "brume/base/escape.h"

namespace brume::cli {

void say(const std::string& line) { std::cerr << "brume: " << escape_control(line) << '\n'; }

}  // namespace brume::cli

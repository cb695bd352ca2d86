#include "say.h"

#include "brume/base/escape.h"
#include "standard_error.h"

namespace brume::cli {

void say(const std::string& line) { print_told("brume: " + escape_control(line) + "\n"); }

}  // namespace brume::cli

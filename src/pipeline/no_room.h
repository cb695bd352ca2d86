#pragma once
#include <string>

#include "brume/base/error.h"

namespace brume {

/// That `what` needs about `needed` bytes of memory, of which `free` are left.
Error no_room(const std::string& what, double needed, double free, const std::string& remedy);

}  // namespace brume

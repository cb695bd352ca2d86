#pragma once
#include <c10/core/ScalarType.h>

#include <string_view>

namespace brume {

/// "fp32", "bf16" or "fp16", as the command line and the reports spell them; throws kUsage for anything else.
c10::ScalarType dtype_from_name(std::string_view name);
std::string_view dtype_name(c10::ScalarType dtype);

}  // namespace brume

#include "brume/base/dtype.h"

#include <string>

#include "brume/base/error.h"

namespace brume {

c10::ScalarType dtype_from_name(std::string_view name) {
  if (name == "fp32") return c10::kFloat;
  if (name == "bf16") return c10::kBFloat16;
  if (name == "fp16") return c10::kHalf;
  throw Error(ExitCode::kUsage, "--dtype " + std::string(name), "unknown type",
              "use auto, fp32, bf16 or fp16");
}

std::string_view dtype_name(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::kFloat:
      return "fp32";
    case c10::kBFloat16:
      return "bf16";
    case c10::kHalf:
      return "fp16";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace brume

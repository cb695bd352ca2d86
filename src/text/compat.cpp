#include "brume/text/compat.h"

#include <array>
#include <string>

#include "brume/base/error.h"

namespace brume {

namespace {

constexpr std::array<std::string_view, 3> kNames = {"a1111", "diffusers", "sdcpp"};  // in the enum's order

}  // namespace

Compat compat_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Compat>(i);
  }
  throw Error(ExitCode::kUsage, "--compat " + std::string(name.substr(0, 40)), "unknown",
              "use a1111, diffusers or sdcpp");
}

std::string_view compat_name(Compat compat) { return kNames[static_cast<size_t>(compat)]; }

}  // namespace brume

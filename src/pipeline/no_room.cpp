#include "no_room.h"

#include <iomanip>
#include <sstream>

namespace brume {

namespace {

constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;

}  // namespace

Error no_room(const std::string& what, double needed, double free, const std::string& remedy) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << what << " needs about " << needed / kGibibyte
       << " GiB of memory, " << free / kGibibyte << " GiB are free";
  return {ExitCode::kOutOfMemory, "--width, --height", text.str(), remedy};
}

}  // namespace brume

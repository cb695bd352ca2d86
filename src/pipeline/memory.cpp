#include "memory.h"

#include <fstream>
#include <string>

namespace brume {

std::optional<double> available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  double kibibytes = 0;
  for (std::string rest; file >> name >> kibibytes; std::getline(file, rest)) {
    constexpr double kKibibyte = 1024;
    if (name == "MemAvailable:") return kibibytes * kKibibyte;
  }
  return {};
}

}  // namespace brume

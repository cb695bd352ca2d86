#include "brume/pipeline/memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "brume/base/tensor_memory.h"

namespace brume {

namespace {

/// The number that a file begins with; nothing for a missing file or the word "max".
std::optional<double> number_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  double number = 0;
  if (file >> number) return number;
  return {};
}

std::optional<double> machine_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  double kibibytes = 0;
  for (std::string rest; file >> name >> kibibytes; std::getline(file, rest)) {
    constexpr double kKibibyte = 1024;
    if (name == "MemAvailable:") return kibibytes * kKibibyte;
  }
  return {};
}

/// The least that any group of ours, from the innermost to the root, has left (version 2 of control groups).
std::optional<double> group_memory() {
  std::ifstream file("/proc/self/cgroup");
  std::optional<double> least;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::/")) continue;
    const std::filesystem::path root = "/sys/fs/cgroup";
    for (std::filesystem::path group = line.substr(4);; group = group.parent_path()) {
      const std::optional<double> most = number_in(root / group / "memory.max");
      const std::optional<double> used = number_in(root / group / "memory.current");
      if (most && used) least = std::min(least.value_or(*most), std::max(*most - *used, 0.0));
      if (group.empty()) break;
    }
  }
  return least;
}

}  // namespace

std::optional<double> available_memory() {
  const std::optional<double> machine = machine_memory();
  const std::optional<double> group = group_memory();
  if (!machine && !group) return {};
  constexpr double kUnknown = std::numeric_limits<double>::infinity();
  return std::min(machine.value_or(kUnknown), group.value_or(kUnknown)) +
         static_cast<double>(kept_tensor_memory());
}

int64_t peak_memory() {
  // getrusage would count what the process was before it became this program, too.
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    constexpr int64_t kKibibyte = 1024;
    constexpr std::string_view kPeak = "VmHWM:";
    if (line.starts_with(kPeak)) return std::stoll(line.substr(kPeak.size())) * kKibibyte;
  }
  return 0;
}

}  // namespace brume

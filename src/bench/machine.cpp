#include "brume/bench/machine.h"

#include <filesystem>
#include <fstream>

namespace brume::bench {

namespace {

/// Linux's count of the time that this thread waited in a run queue, in seconds.
std::optional<double> seconds_waited() {
  constexpr double kNanosecond = 1e-9;
  std::ifstream file("/proc/thread-self/schedstat");
  double ran = 0;
  double waited = 0;
  if (file >> ran >> waited) return waited * kNanosecond;
  return {};
}

std::optional<int64_t> throttle_count() {
  std::optional<int64_t> total;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/devices/system/cpu", failed)) {
    std::ifstream file(entry.path() / "thermal_throttle/core_throttle_count");
    if (int64_t count = 0; file >> count) total = total.value_or(0) + count;
  }
  return total;
}

}  // namespace

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

MachineWatch::MachineWatch()
    : start_(std::chrono::steady_clock::now()), waited_(seconds_waited()), throttled_(throttle_count()) {}

std::optional<double> MachineWatch::waited_share() const {
  const std::optional<double> now = seconds_waited();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (!now || !waited_ || wall <= 0) return {};
  return (*now - *waited_) / wall;
}

std::optional<int64_t> MachineWatch::throttle_events() const {
  const std::optional<int64_t> now = throttle_count();
  if (!now || !throttled_) return {};
  return *now - *throttled_;
}

}  // namespace brume::bench

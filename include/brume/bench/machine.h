#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace brume::bench {

/// The processor as it calls itself; "unknown" where it does not.
std::string processor_name();

/// Watches, between its making and the questions, what the machine does to a measurement. To be used from the
/// thread that measures.
class MachineWatch {
 public:
  MachineWatch();
  /// The share of the time in which this thread was ready to run and had no processor.
  std::optional<double> waited_share() const;
  /// How often the processors slowed down for heat.
  std::optional<int64_t> throttle_events() const;

 private:
  std::chrono::steady_clock::time_point start_;
  std::optional<double> waited_;
  std::optional<int64_t> throttled_;
};

}  // namespace brume::bench

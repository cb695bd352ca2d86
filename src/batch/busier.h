#pragma once
#include <atomic>
#include <chrono>

namespace brume::batch {

/// Adds the time of its life to one phase.
class Busier {
 public:
  explicit Busier(std::atomic<double>& seconds) : seconds_(seconds) {}
  ~Busier() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Busier(const Busier&) = delete;
  Busier& operator=(const Busier&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  std::atomic<double>& seconds_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace brume::batch

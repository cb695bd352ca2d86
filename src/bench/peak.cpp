#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>

#include "brume/bench/rounds.h"

namespace brume::bench {

double measured_peak(at::ScalarType dtype) {
  constexpr int64_t kChannels = 320;
  constexpr int64_t kSide = 32;
  constexpr double kSeconds = 0.4;
  constexpr int kLeast = 3;  // the first builds the kernel
  constexpr double kFlop = 2.0 * 9 * kChannels * kChannels * kSide * kSide;
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const c10::InferenceMode guard;
  const at::TensorOptions options(dtype);
  const at::Tensor map = at::ones({1, kChannels, kSide, kSide}, options);
  const at::Tensor weights = at::full({kChannels, kChannels, 3, 3}, 1.0 / kChannels, options);
  const Clock::time_point start = Clock::now();
  double best = 0;
  for (int i = 0; i < kLeast || seconds_since(start) < kSeconds; ++i) {
    const Clock::time_point begin = Clock::now();
    at::conv2d(map, weights, {}, {1, 1}, {1, 1});
    best = std::max(best, kFlop / seconds_since(begin));
  }
  return best;
}

}  // namespace brume::bench

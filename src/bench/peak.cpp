#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>

#include "brume/bench/rounds.h"

namespace brume::bench {

namespace {

at::TensorOptions options_of(at::ScalarType dtype, const kernels::gpu::Gpu* gpu) {
  const at::TensorOptions options(dtype);
  if (gpu == nullptr) return options;
  return options.device(gpu->properties().device);
}

}  // namespace

double measured_peak(at::ScalarType dtype, const kernels::gpu::Gpu* gpu) {
  constexpr int64_t kChannels = 320;
  constexpr double kSeconds = 0.4;
  constexpr int kLeast = 3;  // the first builds the kernel
  // A GPU is filled by more than a core is.
  const int64_t maps = gpu != nullptr ? 16 : 1;
  const int64_t side = gpu != nullptr ? 64 : 32;
  const double flop = 2.0 * 9 * kChannels * kChannels * static_cast<double>(maps * side * side);
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const c10::InferenceMode guard;
  const at::TensorOptions options = options_of(dtype, gpu);
  const at::Tensor map =
      at::ones({maps, kChannels, side, side}, options).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weights = at::full({kChannels, kChannels, 3, 3}, 1.0 / kChannels, options)
                                 .contiguous(at::MemoryFormat::ChannelsLast);
  const Clock::time_point start = Clock::now();
  double best = 0;
  for (int i = 0; i < kLeast || seconds_since(start) < kSeconds; ++i) {
    const Clock::time_point begin = Clock::now();
    at::conv2d(map, weights, {}, {1, 1}, {1, 1});
    if (gpu != nullptr) gpu->synchronize();
    best = std::max(best, flop / seconds_since(begin));
  }
  return best;
}

}  // namespace brume::bench

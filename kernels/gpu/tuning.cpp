#include "kernels/gpu/tuning.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/Sleep.h>
#include <cuda_runtime_api.h>
#include <ATen/cuda/CUDAGraphsUtils.cuh>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>

namespace brume::kernels::gpu {

namespace {

/// One for the process: measurements on one GPU would disturb each other, from whatever table they come.
std::mutex& tuning_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// Some 0.3 ms for which the GPU waits, so that all runs are enqueued before the first begins. Otherwise
/// small products would be judged by how long the CPU takes to launch them, which a captured graph does not
/// pay.
constexpr int64_t kHeadStartCycles = 600'000;
constexpr int kRuns = 5;
constexpr float kTooSlow = 3;

float elapsed(const std::function<void()>& run, int runs) {
  c10::cuda::CUDAEvent start(cudaEventDefault);
  c10::cuda::CUDAEvent stop(cudaEventDefault);
  at::cuda::sleep(kHeadStartCycles);
  start.record();
  for (int i = 0; i < runs; ++i) run();
  stop.record();
  stop.synchronize();
  return start.elapsed_time(stop) / static_cast<float>(runs);
}

}  // namespace

TuningSession::TuningSession() : lock_(tuning_mutex()) {}

bool is_captured() { return at::cuda::currentStreamCaptureStatus() != at::cuda::CaptureStatus::None; }

float milliseconds_of(const std::function<void()>& run, float best) {
  try {
    run();  // loads its code
    const float once = elapsed(run, 1);
    if (once > kTooSlow * best) return once;
    const float first = elapsed(run, kRuns);
    return std::min(first, elapsed(run, kRuns));
  } catch (const std::exception&) {
    (void)cudaGetLastError();  // which would be taken for the next kernel's
    return std::numeric_limits<float>::infinity();
  }
}

std::string written_milliseconds(float milliseconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4f ms", static_cast<double>(milliseconds));
  return text.data();
}

std::string before_remark(const std::string& value) { return value.substr(0, value.find(';')); }

std::string name_of(c10::ScalarType dtype) {
  return dtype == c10::ScalarType::Half ? "fp16" : dtype == c10::ScalarType::BFloat16 ? "bf16" : "other";
}

int64_t common_alignment(std::initializer_list<const void*> addresses) {
  constexpr uintptr_t kMost = 256;
  uintptr_t bits = kMost;
  for (const void* address : addresses) bits |= reinterpret_cast<uintptr_t>(address);
  return static_cast<int64_t>(bits & ~(bits - 1));
}

}  // namespace brume::kernels::gpu

#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"

// The row softmax on paper: fp32 in, fp16 out, 6 bytes and three exponentials an element. Expected, not
// measured (README.md).
//
//   rows x columns   moved     exponentials   A100     RTX 4090   H200     bound by
//   4096 x 4096      0.10 GB    50 M          64 us    127 us     28 us    memory
//   16384 x 16384    1.61 GB   805 M          1.0 ms   2.0 ms     0.4 ms   memory
//
// attention_wide.h keeps its blocks within L2, which is faster; the exponentials alone take a third of these
// times on an A100, and half on an H200.
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 32), without spills or local memory: 32.
// Shared memory: 64 bytes.
namespace brume::kernels {

struct SoftmaxRowsParams {
  const float* scores;  // [rows, columns]
  void* weights;        // [rows, columns], half
  int32_t columns;
};

/// Softmax of each row, for the scores of an attention too wide for one kernel: a block a row, the largest
/// and the sum in one pass, the weights in a second one that finds the row in the cache.
template <class T>
struct SoftmaxRows {
  static constexpr int kThreads = 256;
  static constexpr int kWarps = kThreads / 32;
  static constexpr float kLog2E = 1.4426950408889634F;
  static constexpr int kSharedBytes = 2 * kWarps * static_cast<int>(sizeof(float));
  // A read brings a thread four bytes, so that as many threads must read as there can be: 2,048.
  static constexpr KernelBudget kBudget{kThreads, 8, kSharedBytes};

  BRUME_DEVICE static void run(const SoftmaxRowsParams& params) {
    const int64_t first = static_cast<int64_t>(device::block_x()) * params.columns;
    const float* const scores = params.scores + first;
    float largest = -device::infinity();
    float sum = 0;
    for (int i = device::thread(); i < params.columns; i += kThreads)
      add(largest, sum, device::load_global<float>(scores + i), 1);
    BRUME_UNROLL
    for (int mask = 16; mask > 0; mask /= 2) {
      const float other = device::shuffle_xor(largest, mask);
      const float others = device::shuffle_xor(sum, mask);
      add(largest, sum, other, others);
    }
    const device::Shared<float> shared = device::shared_memory().template as<float>();
    if (device::lane() == 0) {
      (shared + 2 * device::warp()).store(largest);
      (shared + 2 * device::warp() + 1).store(sum);
    }
    device::block_barrier();
    largest = -device::infinity();
    sum = 0;
    for (int warp = 0; warp < kWarps; ++warp)
      add(largest, sum, (shared + 2 * warp).load(), (shared + 2 * warp + 1).load());
    // Where all scores are -inf, so are all weights zero: a peak of zero, and a sum of one, make them so.
    if (sum == 0) largest = 0;
    const float reciprocal = sum == 0 ? 1.0F : device::reciprocal_fast(sum);
    T* const weights = static_cast<T*>(params.weights) + first;
    for (int i = device::thread(); i < params.columns; i += kThreads) {
      const float power = device::exp2_fast((device::load_global<float>(scores + i) - largest) * kLog2E);
      device::store_global(weights + i, device::from_float<T>(power * reciprocal));
    }
  }

 private:
  /// Takes `count` terms, as large as e^value together with their own largest, into a running sum relative to
  /// the largest so far.
  BRUME_DEVICE static void add(float& largest, float& sum, float value, float count) {
    const float peak = device::maximum(largest, value);
    if (peak == -device::infinity()) return;
    sum = sum * device::exp2_fast((largest - peak) * kLog2E) +
          count * device::exp2_fast((value - peak) * kLog2E);
    largest = peak;
  }
};

}  // namespace brume::kernels

#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/small_params.h"

// The timestep embedding on paper, fp16: nothing but its launch. Expected, not measured (README.md).
//
//   values x width   moved    FLOP   A100   RTX 4090   H200   bound by
//   2 x 320          1.3 KB   16 k   2 us   2 us       2 us   the launch
//   12 x 256         6 KB     77 k   2 us   2 us       2 us   the launch
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 32), without spills or local memory: 22.
// No shared memory.
namespace brume::kernels::device {

/// Nothing is on its way; few registers, to start beside whatever else is at work.
inline constexpr KernelBudget kTimestepEmbeddingBudget{256, 8, 0};

/// The same angle within pi of zero: two pi is taken away in three parts, the first two with so few digits
/// that their multiples are exact (Cody and Waite).
BRUME_DEVICE float reduced_angle(float angle) {
  constexpr float kPerTurn = 0.159154943091895F;
  constexpr float kTurn1 = 6.28125F;
  constexpr float kTurn2 = 1.9354820251465e-3F;
  constexpr float kTurn3 = -1.7484555e-7F;
  const float turns = nearest_integer(angle * kPerTurn);
  return multiply_add(-turns, kTurn3, multiply_add(-turns, kTurn2, multiply_add(-turns, kTurn1, angle)));
}

/// A thread makes the sine and the cosine of one frequency; where the width is odd, one thread a row writes
/// the zero at its end.
template <class T>
BRUME_DEVICE void timestep_embedding(const TimestepEmbeddingParams& params) {
  constexpr float kLogMostPeriod = 9.21034037197618F;  // of 10000
  const int half = params.width / 2;
  const int pairs = ceil_div(params.width, 2);
  const int64_t index = int64_t{block_x()} * threads() + thread();
  if (index >= int64_t{params.count} * pairs) return;
  const auto row = static_cast<int>(index / pairs);
  const auto i = static_cast<int>(index - int64_t{row} * pairs);
  T* y = static_cast<T*>(params.y.data) + row * params.y.stride;
  if (i == half) {
    store_global(y + params.width - 1, from_float<T>(0));
    return;
  }
  const float exponent =
      -kLogMostPeriod * static_cast<float>(i) / (static_cast<float>(half) - params.freq_shift);
  const float angle = reduced_angle(load_global<float>(params.values + row) * exponential(exponent));
  const bool cosine_first = params.order == WaveOrder::kCosineFirst;
  store_global(y + i + (cosine_first ? half : 0), from_float<T>(sine_fast(angle)));
  store_global(y + i + (cosine_first ? 0 : half), from_float<T>(cosine_fast(angle)));
}

}  // namespace brume::kernels::device

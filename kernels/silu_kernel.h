#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/moments.h"
#include "kernels/small_params.h"

// SiLU on paper, fp16: a read and a write, 5 FLOP and an exponential an element. Where a norm comes before,
// it does this itself. Expected, not measured (README.md).
//
//   elements        moved     FLOP   A100   RTX 4090   H200   bound by
//   2 x 1280        10 KB     13 k   2 us   2 us       2 us   the launch
//   2 x 4096 x 320  10.5 MB   13 M   8 us   15 us      5 us   memory
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 32), without spills or local memory: 19
// (float), 25 (Bfloat16, Half), scalars 10. No shared memory.
namespace brume::kernels::device {

/// Each thread has 16 bytes on their way: eight blocks, 32 KB.
inline constexpr KernelBudget kSiluBudget{256, 8, 0};

template <class T, int kVector>
BRUME_DEVICE void silu_at(const SiluParams& params, int64_t first) {
  auto values = load_global<Vector<T, kVector>>(static_cast<const T*>(params.x) + first);
  BRUME_UNROLL
  for (int i = 0; i < kVector; ++i) {
    const float x = to_float(values[i]);
    values[i] = from_float<T>(x * sigmoid(x));
  }
  store_global(static_cast<T*>(params.y) + first, values);
}

/// A thread takes one vector; the last one what is left.
template <class T, int kVector>
BRUME_DEVICE void silu(const SiluParams& params) {
  const int64_t first = (int64_t{block_x()} * threads() + thread()) * kVector;
  if (first + kVector <= params.count) {
    silu_at<T, kVector>(params, first);
  } else {
    for (int64_t i = first; i < params.count; ++i) silu_at<T, 1>(params, i);
  }
}

}  // namespace brume::kernels::device

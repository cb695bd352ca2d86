#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/small_params.h"

// GEGLU on paper, fp16: two reads and a write, about 30 FLOP (most for erf) a result. Expected, not measured
// (README.md).
//
//   rows x width            moved     FLOP     A100    RTX 4090   H200    bound by
//   8192 x 1280 (SD1.5)      63 MB    0.31 G   41 us    80 us     18 us   memory
//   2048 x 2560              31 MB    0.16 G   21 us    41 us     10 us   memory
//   8192 x 2560 (SDXL)      126 MB    0.63 G   79 us   158 us     35 us   memory
//   2048 x 5120              63 MB    0.31 G   41 us    80 us     18 us   memory
//
// Of that time erf fills the issue slots for two fifths on an A100, a tenth on an RTX 4090, over half on an
// H200.
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 64), without spills or local memory: 39
// (float), 43 (Bfloat16), 40 (Half), scalars 21. No shared memory.
namespace brume::kernels::device {

/// Each thread has 32 bytes on their way: four blocks, 32 KB.
inline constexpr KernelBudget kGegluBudget{256, 4, 0};

/// x * Phi(x), exactly, not by tanh.
BRUME_DEVICE float gelu(float x) {
  constexpr float kRootHalf = 0.707106781186548F;
  const float half = 0.5F * x;
  return multiply_add(half, error_function(x * kRootHalf), half);
}

/// A thread makes one vector of y.
template <class T, int kVector>
BRUME_DEVICE void geglu(const GegluParams& params) {
  using Values = Vector<T, kVector>;
  const int columns = params.width / kVector;
  const int64_t index = int64_t{block_x()} * threads() + thread();
  if (index >= int64_t{params.rows} * columns) return;
  const auto row = static_cast<int>(index / columns);
  const int column = static_cast<int>(index - int64_t{row} * columns) * kVector;
  const T* from = static_cast<const T*>(params.x.data) + row * params.x.stride + column;
  const auto value = load_global<Values>(from);
  const auto gate = load_global<Values>(from + params.width);
  Values y;
  BRUME_UNROLL
  for (int i = 0; i < kVector; ++i) y[i] = from_float<T>(to_float(value[i]) * gelu(to_float(gate[i])));
  store_global(static_cast<T*>(params.y.data) + row * params.y.stride + column, y);
}

}  // namespace brume::kernels::device

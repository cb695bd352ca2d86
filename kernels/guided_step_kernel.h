#pragma once
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/small_params.h"

// Guidance and DDIM step on paper, fp16 predictions, fp32 latents: 12 bytes an element (16 with noise), 7
// FLOP. Expected, not measured (README.md).
//
//   latents           moved    FLOP    A100   RTX 4090   H200   bound by
//   1 x 64x64 x 4     0.2 MB   0.1 M   2 us   2 us       2 us   the launch, where there were six or more
//   1 x 128x128 x 4   0.8 MB   0.5 M   3 us   3 us       2 us   the launch
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 64), without spills or local memory: 36
// (float, Bfloat16), 38 (Half), scalars 20. No shared memory.
namespace brume::kernels::device {

/// Each thread has 32 bytes on their way, or 48: four blocks, 32 KB.
inline constexpr KernelBudget kGuidedStepBudget{256, 4, 0};

template <class T, int kVector>
BRUME_DEVICE void guided_step_at(const GuidedStepParams& params, const StepFactors& factors, int64_t first) {
  using Predictions = Vector<T, kVector>;
  using Latents = Vector<float, kVector>;
  auto latents = load_global<Latents>(params.latents + first);
  const auto positive = load_global<Predictions>(static_cast<const T*>(params.positive) + first);
  Predictions negative = positive;
  if (params.negative != nullptr)
    negative = load_global<Predictions>(static_cast<const T*>(params.negative) + first);
  Latents noise{};
  if (params.noise != nullptr) noise = load_global<Latents>(params.noise + first);
  BRUME_UNROLL
  for (int i = 0; i < kVector; ++i) {
    const float without = to_float(negative[i]);
    const float guided = multiply_add(factors.guidance, to_float(positive[i]) - without, without);
    latents[i] = multiply_add(factors.latents, latents[i],
                              multiply_add(factors.prediction, guided, factors.noise * noise[i]));
  }
  store_global(params.next + first, latents);
}

/// A thread takes one vector; the last one what is left.
template <class T, int kVector>
BRUME_DEVICE void guided_step(const GuidedStepParams& params) {
  const auto factors = load_global<StepFactors>(params.table + load_global<int>(params.step));
  const int64_t first = (int64_t{block_x()} * threads() + thread()) * kVector;
  if (first + kVector <= params.count) {
    guided_step_at<T, kVector>(params, factors, first);
  } else {
    for (int64_t i = first; i < params.count; ++i) guided_step_at<T, 1>(params, factors, i);
  }
}

}  // namespace brume::kernels::device

#pragma once
#include "kernels/device/device.h"
#include "kernels/small_params.h"

namespace brume::kernels::device {

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

#pragma once
#include "kernels/device/device.h"
#include "kernels/moments.h"
#include "kernels/small_params.h"

namespace brume::kernels::device {

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

#pragma once
#include <cmath>

#include "kernels/attention_params.h"
#include "kernels/entry.h"

namespace brume::kernels {

/// The kernels' parameters of a plain call.
inline AttentionParams params_of(const BrumeAttention& call) {
  constexpr double kLog2E = 1.4426950408889634;
  const auto strides_of = [&](int tensor) -> TokenStrides {
    const int64_t* const strides = call.strides + static_cast<ptrdiff_t>(3) * tensor;
    return {strides[0], strides[1], strides[2]};
  };
  return {.q = call.pointers[0],
          .k = call.pointers[1],
          .v = call.pointers[2],
          .out = const_cast<void*>(call.pointers[3]),
          .q_strides = strides_of(0),
          .k_strides = strides_of(1),
          .v_strides = strides_of(2),
          .out_strides = strides_of(3),
          .queries = call.queries,
          .keys = call.keys,
          .scale_log2 = static_cast<float>(kLog2E / std::sqrt(double{1} * call.head_dim))};
}

}  // namespace brume::kernels

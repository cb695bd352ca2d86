#pragma once
#include <cmath>
#include <cstddef>

#include "kernels/attention_params.h"
#include "kernels/element.h"
#include "kernels/entry.h"

namespace brume::kernels {

/// What an entry gives where no kernel fits.
inline constexpr int kNoKernel = -1;

/// Whether a call's number is one of Element.
inline bool is_element(int32_t element) {
  return element >= static_cast<int32_t>(Element::kFloat) &&
         element <= static_cast<int32_t>(Element::kBfloat16);
}
/// As is_element, for the kernels of half precision.
inline bool is_half_element(int32_t element) {
  return is_element(element) && element != static_cast<int32_t>(Element::kFloat);
}

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

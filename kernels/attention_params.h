#pragma once
#include <cstdint>

namespace brume::kernels {

/// Distances between neighbours, in elements.
struct TokenStrides {
  int64_t picture;
  int64_t token;
  int64_t head;
};

/// softmax(q k^T scale) v on device memory. A query whose scores are all -inf looks at nothing: its result is
/// zero, as that of torch's scaled_dot_product_attention, not the nan of its softmax. A score that is nan or
/// +inf makes its query's result nan.
///
/// q [batch, queries, heads, head_dim], k and v [batch, keys, heads, head_dim] by their strides, the last one
/// 1; every row begins at a multiple of 16 bytes. out [batch, queries, heads, head_dim] by its strides.
struct AttentionParams {
  const void* q;
  const void* k;
  const void* v;
  void* out;
  TokenStrides q_strides;
  TokenStrides k_strides;
  TokenStrides v_strides;
  TokenStrides out_strides;
  int32_t queries;
  int32_t keys;
  float scale_log2;  // the scale, above 0, times the binary logarithm of e
};

/// Whether every row of q, k and v begins at a multiple of 16 bytes and of out at one of 4, as the kernels
/// need.
inline bool attention_is_aligned(const AttentionParams& params) {
  constexpr int64_t kBytes = 2;  // of an element
  const auto aligned = [](const void* base, const TokenStrides& strides, int64_t bytes) {
    return reinterpret_cast<uintptr_t>(base) % static_cast<uintptr_t>(bytes) == 0 &&
           strides.picture * kBytes % bytes == 0 && strides.token * kBytes % bytes == 0 &&
           strides.head * kBytes % bytes == 0;
  };
  return aligned(params.q, params.q_strides, 16) && aligned(params.k, params.k_strides, 16) &&
         aligned(params.v, params.v_strides, 16) && aligned(params.out, params.out_strides, 4);
}

}  // namespace brume::kernels

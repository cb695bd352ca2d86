#pragma once
#include <cstdint>

namespace brume::kernels {

/// Distances between neighbours, in elements.
struct TokenStrides {
  int64_t picture;
  int64_t token;
  int64_t head;
};

/// softmax(q k^T scale) v on device memory. q [batch, queries, heads, head_dim], k and v [batch, keys, heads,
/// head_dim] by their strides, the last one 1; every row begins at a multiple of 16 bytes. out [batch,
/// queries, heads, head_dim] by its strides.
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
  float scale_log2;  // the scale times the binary logarithm of e
};

}  // namespace brume::kernels

#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernels/attention_params.h"

// The wide head on paper: the autoencoder's attention, head_dim 512, fp16. Expected, not measured
// (kernels/README.md), with 0.6 of the peak for cuBLAS.
//
//   latents   GFLOP   exponentials   scores and weights   launches   A100      RTX 4090   H200
//   64x64      34      50 M          0.2 GB, by L2        3 x 4      0.27 ms   0.50 ms    0.11 ms
//   128x128   550     805 M          3.2 GB, by L2        3 x 64      4.3 ms    7.9 ms     1.7 ms
//
// Bound by the products (half to two thirds), then by the softmax and the launches. That is where cuBLAS
// splits the keys of P V among blocks: its result has but 32 tiles of 128 x 128 at 64x64, and 8 at 128x128,
// for 108 to 132 multiprocessors. Unsplit, P V alone would take 0.3, 0.7 and 0.1 ms, and 20, 44 and 8 ms.
namespace brume::kernels {

/// Attention with one head too wide for registers (the autoencoder's 512): blocks of query rows, each by two
/// matrix products and a softmax over rows between them. At most 5 % of a decoding, so the library's products
/// are good enough.
struct WideShape {
  int32_t batch;
  int32_t queries;
  int32_t keys;
  int32_t head_dim;
};

/// c [rows, columns] = scale a [rows, depth] times b, all row-major with these distances between rows, in
/// elements. b is [columns, depth] where `b_transposed`, else [depth, columns]. Scores come out in fp32, all
/// else is half.
struct MatrixProduct {
  enum class Result { kScores, kHalf };
  const void* a;
  const void* b;
  void* c;
  int64_t a_stride;
  int64_t b_stride;
  int64_t c_stride;
  int32_t rows;
  int32_t columns;
  int32_t depth;
  bool b_transposed;
  Result result;
  float scale;
};

/// What the walk over the blocks needs from a GPU, or from a test. Each returns an error code, 0 for success.
struct WideOperations {
  std::function<int(const MatrixProduct&)> product;
  /// scores [rows, keys] fp32 -> weights [rows, keys] half, each row a softmax.
  std::function<int(const float* scores, void* weights, int32_t rows, int32_t keys)> softmax;
};

/// Query rows of a block: as many as keep the block's scores and weights within about 24 MB, which most
/// caches hold.
int32_t wide_block_rows(const WideShape& shape);
/// Bytes of scratch memory that wide_attention needs.
size_t wide_workspace_bytes(const WideShape& shape);
/// softmax(q k^T scale) v with one head; params.scale_log2 is the scale times log2(e). The first error code,
/// or 0.
int wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                   const WideOperations& operations);

}  // namespace brume::kernels

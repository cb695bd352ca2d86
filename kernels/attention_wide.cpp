#include "kernels/attention_wide.h"

#include <algorithm>

namespace brume::kernels {

namespace {

constexpr size_t kScoreBytes = 4;
constexpr size_t kHalfBytes = 2;
constexpr size_t kAlignment = 256;
constexpr float kLn2 = 0.69314718055994531F;

size_t score_bytes(const WideShape& shape) {
  const size_t bytes =
      static_cast<size_t>(wide_block_rows(shape)) * static_cast<size_t>(shape.keys) * kScoreBytes;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

const void* half_at(const void* base, int64_t element) {
  return static_cast<const std::byte*>(base) + element * static_cast<int64_t>(kHalfBytes);
}

}  // namespace

int32_t wide_block_rows(const WideShape& shape) {
  constexpr int64_t kBlockBytes = int64_t{24} << 20;
  constexpr int64_t kStep = 64;
  if (shape.keys < 1) return 0;
  const int64_t fitting = kBlockBytes / (shape.keys * static_cast<int64_t>(kScoreBytes + kHalfBytes));
  return static_cast<int32_t>(
      std::min<int64_t>(shape.queries, std::max<int64_t>(kStep, fitting / kStep * kStep)));
}

size_t wide_workspace_bytes(const WideShape& shape) {
  return score_bytes(shape) +
         static_cast<size_t>(wide_block_rows(shape)) * static_cast<size_t>(shape.keys) * kHalfBytes;
}

int wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                   const WideOperations& operations) {
  if (shape.keys < 1) return 0;  // nothing to look at
  auto* const scores = static_cast<float*>(workspace);
  void* const weights = static_cast<std::byte*>(workspace) + score_bytes(shape);
  const int32_t block = wide_block_rows(shape);
  for (int32_t picture = 0; picture < shape.batch; ++picture) {
    const void* const keys = half_at(params.k, picture * params.k_strides.picture);
    const void* const values = half_at(params.v, picture * params.v_strides.picture);
    for (int32_t first = 0; first < shape.queries; first += block) {
      const int32_t rows = std::min(block, shape.queries - first);
      const void* const queries =
          half_at(params.q, picture * params.q_strides.picture + first * params.q_strides.token);
      const void* const out =
          half_at(params.out, picture * params.out_strides.picture + first * params.out_strides.token);
      const MatrixProduct score{queries,
                                keys,
                                scores,
                                params.q_strides.token,
                                params.k_strides.token,
                                shape.keys,
                                rows,
                                shape.keys,
                                shape.head_dim,
                                true,
                                MatrixProduct::Result::kScores,
                                params.scale_log2 * kLn2};
      if (const int error = operations.product(score); error != 0) return error;
      if (const int error = operations.softmax(scores, weights, rows, shape.keys); error != 0) return error;
      const MatrixProduct sum{weights,
                              values,
                              const_cast<void*>(out),
                              shape.keys,
                              params.v_strides.token,
                              params.out_strides.token,
                              rows,
                              shape.head_dim,
                              shape.keys,
                              false,
                              MatrixProduct::Result::kHalf,
                              1};
      if (const int error = operations.product(sum); error != 0) return error;
    }
  }
  return 0;
}

}  // namespace brume::kernels

#pragma once
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/machines.h"

namespace brume::kernels::cpu {
namespace {

// Attention by blocks of keys with a running maximum ("FlashAttention", Dao et al. 2022), turned on its side:
// a lane is a query. Scores S^T = K Q^T and output O^T = V^T P^T are then products of one kind, a broadcast
// number of K or V times vectors of queries; the softmax needs no sum across lanes, and P leaves it in the
// very layout that the second product reads.

constexpr int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

/// What the products multiply: pairs of bfloat16 along the summed dimension where the machine has an
/// instruction for them.
#if defined(__AVX512BF16__)
struct PairOperand {
  using Stored = Bf16;
  static constexpr int64_t kDepth = 2;
  static constexpr Exactness kExactness = Exactness::kBf16;
  using Vector = Words;  // of each lane's pair
  using Broadcast = uint32_t __attribute__((may_alias));
  static BRUME_INLINE Floats dot(Floats sum, Vector a, Broadcast b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(Words{} + b));
  }
  /// The pair of the lanes of two vectors.
  static BRUME_INLINE void store_step(const Floats* x, Vector* to) {
    // The conversion puts the second vector's numbers behind the first one's; a pair wants them side by side.
    const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23,
                                           7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512bh both = _mm512_cvtne2ps_pbh(x[1], x[0]);
    *to = reinterpret_cast<Words>(_mm512_permutexvar_epi16(pairs, reinterpret_cast<__m512i>(both)));
  }
};
#endif
struct FloatOperand {
  using Stored = float;
  static constexpr int64_t kDepth = 1;
  static constexpr Exactness kExactness = Exactness::kFloat;
  using Vector = Floats;
  using Broadcast = float;
  static BRUME_INLINE Floats dot(Floats sum, Vector a, Broadcast b) { return sum + a * b; }
  static BRUME_INLINE void store_step(const Floats* x, Vector* to) { *to = x[0]; }
};

BRUME_INLINE void convert(float x, float* to) { *to = x; }
BRUME_INLINE void convert(float x, Bf16* to) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  to->bits = static_cast<uint16_t>((x == x ? bits + 0x7FFF + ((bits >> 16) & 1) : bits | 0x00400000) >> 16);
}
BRUME_INLINE void convert(Bf16 x, Bf16* to) { *to = x; }
BRUME_INLINE void convert(Bf16 x, float* to) { *to = float_of(x); }

/// Where a product's broadcast numbers stand: element (row, step) at row * row_stride + step * step_stride.
template <class Operand>
struct Rows {
  const typename Operand::Broadcast* first;
  int64_t row_stride;
  int64_t step_stride;
};

/// sum[r][v] += over the steps, rows(r, step) * columns[step][v].
template <class Operand, int kRows>
BRUME_INLINE void multiply(Floats (&sum)[kRows][kTileVectors], const Rows<Operand>& rows,
                           const typename Operand::Vector* columns, int64_t steps) {
  for (int64_t step = 0; step < steps; ++step) {
    const typename Operand::Vector* column = columns + step * kTileVectors;
    const typename Operand::Vector c0 = column[0];
    const typename Operand::Vector c1 = column[1];
    const typename Operand::Vector c2 = column[2];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const typename Operand::Broadcast b = rows.first[r * rows.row_stride + step * rows.step_stride];
      sum[r][0] = Operand::dot(sum[r][0], c0, b);
      sum[r][1] = Operand::dot(sum[r][1], c1, b);
      sum[r][2] = Operand::dot(sum[r][2], c2, b);
    }
  }
}

constexpr int64_t kQueries = kTileVectors * kLanes;  // of a block

/// The scratch of one block of queries, in the order it lies in memory.
template <class Operand>
struct Block {
  Floats scores[kAttentionKeys][kTileVectors];
  typename Operand::Vector weights[kAttentionKeys / Operand::kDepth][kTileVectors];
  Floats peak[kTileVectors];
  Floats total[kTileVectors];
};

template <class Operand, int kRows>
BRUME_INLINE void score_rows(Block<Operand>& block, const typename Operand::Stored* keys, int64_t row,
                             int64_t steps, const typename Operand::Vector* queries) {
  Floats sum[kRows][kTileVectors] = {};
  const auto* first = reinterpret_cast<const typename Operand::Broadcast*>(keys) + row * steps;
  multiply<Operand, kRows>(sum, {first, steps, 1}, queries, steps);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) block.scores[row + r][v] = sum[r][v];
  }
}

/// Scores of `count` keys; those up to a full step of the second product are minus infinity.
template <class Operand>
BRUME_INLINE void score(Block<Operand>& block, const typename Operand::Stored* keys, int64_t count,
                        int64_t steps, const typename Operand::Vector* queries) {
  int64_t row = 0;
  for (; row + kTileRows <= count; row += kTileRows)
    score_rows<Operand, kTileRows>(block, keys, row, steps, queries);
  for (; row < count; ++row) score_rows<Operand, 1>(block, keys, row, steps, queries);
  for (; row % Operand::kDepth != 0; ++row) {
    for (int v = 0; v < kTileVectors; ++v) block.scores[row][v] = all(-__builtin_inff());
  }
}

/// Turns scores into weights. Gives in `shrink` what the sums so far are to be multiplied by.
template <class Operand>
BRUME_INLINE bool weigh(Block<Operand>& block, int64_t count, float scale, Floats (&shrink)[kTileVectors]) {
  constexpr int64_t kDepth = Operand::kDepth;
  bool shrinks = false;
  for (int v = 0; v < kTileVectors; ++v) {
    Floats peak = block.peak[v];
    for (int64_t key = 0; key < count; ++key) peak = greater(peak, block.scores[key][v]);
    shrink[v] = exp2_of((block.peak[v] - peak) * scale);
    const auto grown = block.peak[v] != peak;
    for (int64_t lane = 0; lane < kLanes; ++lane) shrinks |= grown[lane] != 0;
    block.peak[v] = peak;
    Floats total = block.total[v] * shrink[v];
    for (int64_t key = 0; key < count; key += kDepth) {
      Floats weight[kDepth];
      for (int64_t i = 0; i < kDepth; ++i) {
        // The difference first: equal scores, however large, have weight one.
        weight[i] = exp2_of<Operand::kExactness>((block.scores[key + i][v] - peak) * scale);
        total += weight[i];
      }
      Operand::store_step(weight, &block.weights[key / kDepth][v]);
    }
    block.total[v] = total;
  }
  return shrinks;
}

/// output[c][v] = output[c][v] * shrink[v] + over the keys, V(key, c) * weights[key][v].
template <class Operand, int kRows>
BRUME_INLINE void gather_rows(const Block<Operand>& block, const Rows<Operand>& values, int64_t steps,
                              Floats* output, const Floats* shrink) {
  Floats sum[kRows][kTileVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) {
      sum[r][v] = output[r * kTileVectors + v];
      if (shrink != nullptr) sum[r][v] *= shrink[v];
    }
  }
  multiply<Operand, kRows>(sum, values, &block.weights[0][0], steps);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) output[r * kTileVectors + v] = sum[r][v];
  }
}

template <class Operand>
BRUME_INLINE void gather(const Block<Operand>& block, const typename Operand::Stored* values, int64_t width,
                         int64_t steps, Floats* output, const Floats* shrink) {
  const auto* first = reinterpret_cast<const typename Operand::Broadcast*>(values);
  int64_t c = 0;
  for (; c + kTileRows <= width; c += kTileRows)
    gather_rows<Operand, kTileRows>(block, {first + c, 1, width}, steps, output + c * kTileVectors, shrink);
  for (; c < width; ++c)
    gather_rows<Operand, 1>(block, {first + c, 1, width}, steps, output + c * kTileVectors, shrink);
}

/// Bytes of a head's packed keys, and of its values.
template <class Operand>
int64_t packed_bytes(int64_t keys, int64_t head_dim) {
  const int64_t elements = round_up(keys, Operand::kDepth) * round_up(head_dim, Operand::kDepth);
  return round_up(elements * static_cast<int64_t>(sizeof(typename Operand::Stored)), 64);
}

/// Bytes that attend() needs: the block, the sums of its output, its queries.
template <class Operand>
int64_t scratch_bytes(int64_t head_dim) {
  const int64_t numbers = round_up(head_dim, Operand::kDepth) * kQueries;
  return static_cast<int64_t>(sizeof(Block<Operand>)) +
         round_up(numbers * static_cast<int64_t>(sizeof(float) + sizeof(typename Operand::Stored)), 64);
}

/// Queries [count, head_dim] of a tensor -> [head_dim / depth][kQueries], absent ones as zeros.
template <class Operand, class T>
void pack_queries(const T* from, int64_t stride, int64_t count, int64_t head_dim,
                  typename Operand::Stored* to) {
  constexpr int64_t kDepth = Operand::kDepth;
  for (int64_t q = 0; q < kQueries; ++q) {
    for (int64_t c = 0; c < round_up(head_dim, kDepth); ++c) {
      typename Operand::Stored* place = to + (c / kDepth * kQueries + q) * kDepth + c % kDepth;
      if (q < count && c < head_dim)
        convert(from[q * stride + c], place);
      else
        *place = {};
    }
  }
}

/// Keys and values of one head, laid out for the products: keys [Tk][head_dim], values [Tk /
/// depth][head_dim][depth], head_dim and Tk rounded up to the depth.
template <class Operand, class T>
void pack(const AttentionHead& head, void* keys_to, void* values_to) {
  constexpr int64_t kDepth = Operand::kDepth;
  const int64_t width = round_up(head.head_dim, kDepth);
  auto* keys = static_cast<typename Operand::Stored*>(keys_to);
  auto* values = static_cast<typename Operand::Stored*>(values_to);
  for (int64_t t = 0; t < round_up(head.keys, kDepth); ++t) {
    const T* key = static_cast<const T*>(head.k) + t * head.k_stride;
    const T* value = static_cast<const T*>(head.v) + t * head.v_stride;
    for (int64_t c = 0; c < width; ++c) {
      typename Operand::Stored& key_to = keys[t * width + c];
      typename Operand::Stored& value_to = values[(t / kDepth * width + c) * kDepth + t % kDepth];
      const bool there = t < head.keys && c < head.head_dim;
      if (there) {
        convert(key[c], &key_to);
        convert(value[c], &value_to);
      } else {
        key_to = {};
        value_to = {};
      }
    }
  }
}

/// One block of queries of one head, over all keys. `scratch` of scratch_bytes().
template <class Operand, class T>
void attend(const AttentionHead& head, const void* keys_from, const void* values_from, int64_t first,
            void* scratch) {
  constexpr int64_t kDepth = Operand::kDepth;
  const int64_t width = round_up(head.head_dim, kDepth);
  const int64_t count = head.queries - first < kQueries ? head.queries - first : kQueries;
  const auto* keys = static_cast<const typename Operand::Stored*>(keys_from);
  const auto* values = static_cast<const typename Operand::Stored*>(values_from);

  auto& block = *static_cast<Block<Operand>*>(scratch);
  Floats* output = reinterpret_cast<Floats*>(static_cast<char*>(scratch) + sizeof(Block<Operand>));
  auto* queries = reinterpret_cast<typename Operand::Stored*>(output + width * kTileVectors);
  pack_queries<Operand>(static_cast<const T*>(head.q) + first * head.q_stride, head.q_stride, count,
                        head.head_dim, queries);
  for (int v = 0; v < kTileVectors; ++v) {
    block.peak[v] = all(-__builtin_inff());
    block.total[v] = Floats{};
  }
  for (int64_t i = 0; i < width * kTileVectors; ++i) output[i] = Floats{};

  for (int64_t key = 0; key < head.keys; key += kAttentionKeys) {
    const int64_t some = head.keys - key < kAttentionKeys ? head.keys - key : kAttentionKeys;
    score<Operand>(block, keys + key * width, some, width / kDepth,
                   reinterpret_cast<const typename Operand::Vector*>(queries));
    Floats shrink[kTileVectors];
    const bool shrinks = weigh<Operand>(block, some, head.scale_log2, shrink);
    gather<Operand>(block, values + key * width, width, round_up(some, kDepth) / kDepth, output,
                    shrinks ? shrink : nullptr);
  }

  Floats share[kTileVectors];
  for (int v = 0; v < kTileVectors; ++v) share[v] = 1.0F / block.total[v];
  for (int64_t i = 0; i < width * kTileVectors; ++i) output[i] *= share[i % kTileVectors];
  const auto* sums = reinterpret_cast<const float*>(output);
  for (int64_t q = 0; q < count; ++q) {
    T* to = static_cast<T*>(head.out) + (first + q) * head.out_stride;
    for (int64_t c = 0; c < head.head_dim; ++c) convert(sums[c * kQueries + q], to + c);
  }
}

}  // namespace
}  // namespace brume::kernels::cpu

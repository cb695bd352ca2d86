#pragma once
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/machines.h"

namespace brume::kernels::cpu {
namespace {

// Attention by blocks of keys with a running reference ("FlashAttention", Dao et al. 2022), turned on its
// side: a lane is a query. Scores S^T = K Q^T and output O^T = V^T P^T are then products of one kind, a
// broadcast number of K or V times vectors of queries; the softmax needs no sum across lanes, and P leaves it
// in the very layout that the second product reads. Scores never leave a register tile: their exponentials
// are taken against a reference that is near the maximum, not at it, and seldom moved.

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
  /// kLanes steps of a row, or what `count` elements give of them and zeros.
  static BRUME_INLINE Words load_steps(const Bf16* from, int64_t count) {
    Words steps{};
    if (count >= kLanes * kDepth)
      std::memcpy(&steps, from, sizeof steps);
    else
      std::memcpy(&steps, from, static_cast<size_t>(count) * sizeof(Bf16));
    return steps;
  }
  static BRUME_INLINE Vector vector_of(Words x) { return x; }
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
  template <class T>
  static BRUME_INLINE Words load_steps(const T* from, int64_t count) {
    return bits_of(count >= kLanes ? load(from) : load_some(from, count));
  }
  static BRUME_INLINE Vector vector_of(Words x) { return floats_of(x); }
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
constexpr int64_t kAttentionKeys = 128;              // whose weights are kept until their values are gathered

template <int kRows>
using Tile = Floats[kRows][kTileVectors];

/// The scratch of one block of queries, in the order it lies in memory.
template <class Operand>
struct Block {
  typename Operand::Vector weights[kAttentionKeys / Operand::kDepth][kTileVectors];
  Floats reference[kTileVectors];  // the score whose weight is one
  Floats limit[kTileVectors];      // the greatest score that the reference is good for
  Floats total[kTileVectors];      // of the weights
};

/// How far above the reference a score may be, as a power of two, before it is moved: far from a float's
/// limits, and so far that it is moved seldom.
constexpr float kHeadroom = 8;

/// Scores of kTileRows keys.
template <class Operand>
BRUME_INLINE void score(Tile<kTileRows>& scores, const typename Operand::Stored* keys, int64_t steps,
                        const typename Operand::Vector* queries) {
  for (int r = 0; r < kTileRows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) scores[r][v] = Floats{};
  }
  multiply<Operand, kTileRows>(scores, {reinterpret_cast<const typename Operand::Broadcast*>(keys), steps, 1},
                               queries, steps);
}

template <class Operand>
BRUME_INLINE bool within_limit(const Tile<kTileRows>& scores, const Block<Operand>& block) {
  bool above = false;
  for (int v = 0; v < kTileVectors; ++v) {
    Floats peak = scores[0][v];
    for (int r = 1; r < kTileRows; ++r) peak = greater(peak, scores[r][v]);
    above |= any_greater(peak, block.limit[v]);
  }
  return !above;
}

/// Moves the reference to the greatest score; total and output follow.
template <class Operand>
BRUME_INLINE void move_reference(Block<Operand>& block, const Tile<kTileRows>& scores, float scale,
                                 Floats* output, int64_t width) {
  for (int v = 0; v < kTileVectors; ++v) {
    Floats peak = block.reference[v];
    for (int r = 0; r < kTileRows; ++r) peak = greater(peak, scores[r][v]);
    const Floats shrink = exp2_of((block.reference[v] - peak) * scale);
    block.reference[v] = peak;
    block.limit[v] = peak + kHeadroom / scale;
    block.total[v] *= shrink;
    for (int64_t c = 0; c < width; ++c) output[c * kTileVectors + v] *= shrink;
  }
}

/// Weights of the tile's keys from their scores.
template <class Operand>
BRUME_INLINE void weigh(Block<Operand>& block, const Tile<kTileRows>& scores, float scale,
                        typename Operand::Vector (*weights)[kTileVectors]) {
  constexpr int kDepth = Operand::kDepth;
  for (int v = 0; v < kTileVectors; ++v) {
    const Floats reference = block.reference[v];
    Floats total = block.total[v];
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; r += kDepth) {
      Floats weight[kDepth];
      for (int i = 0; i < kDepth; ++i) {
        // The difference first: equal scores, however large, have equal weights.
        weight[i] = exp2_of<Operand::kExactness>((scores[r + i][v] - reference) * scale);
        total += weight[i];
      }
      Operand::store_step(weight, &weights[r / kDepth][v]);
    }
    block.total[v] = total;
  }
}

/// output[c][v] += over the steps, V(key, c) * weights[key][v].
template <class Operand, int kRows>
BRUME_INLINE void gather_rows(const Block<Operand>& block, const Rows<Operand>& values, int64_t steps,
                              Floats* output) {
  Tile<kRows> sum;
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) sum[r][v] = output[r * kTileVectors + v];
  }
  multiply<Operand, kRows>(sum, values, &block.weights[0][0], steps);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) output[r * kTileVectors + v] = sum[r][v];
  }
}

/// Adds `count` keys with the weights that stand at the beginning of the block.
template <class Operand>
BRUME_INLINE void gather(const Block<Operand>& block, const typename Operand::Stored* values, int64_t width,
                         int64_t count, Floats* output) {
  const int64_t steps = count / Operand::kDepth;
  const auto* first = reinterpret_cast<const typename Operand::Broadcast*>(values);
  int64_t c = 0;
  for (; c + kTileRows <= width; c += kTileRows)
    gather_rows<Operand, kTileRows>(block, {first + c, 1, width}, steps, output + c * kTileVectors);
  for (; c < width; ++c)
    gather_rows<Operand, 1>(block, {first + c, 1, width}, steps, output + c * kTileVectors);
}

/// Bytes of a head's packed keys, and of its values.
template <class Operand>
int64_t packed_bytes(int64_t keys, int64_t head_dim) {
  const int64_t elements = round_up(keys, kTileRows) * round_up(head_dim, Operand::kDepth);
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
BRUME_INLINE void pack_queries(const T* from, int64_t stride, int64_t count, int64_t head_dim,
                               typename Operand::Vector* to) {
  constexpr int64_t kDepth = Operand::kDepth;
  const int64_t steps = round_up(head_dim, kDepth) / kDepth;
  for (int64_t step = 0; step < steps; step += kLanes) {
    for (int64_t v = 0; v < kTileVectors; ++v) {
      Words tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t q = v * kLanes + i;
        tile[i] = q < count ? Operand::load_steps(from + q * stride + step * kDepth, head_dim - step * kDepth)
                            : Words{};
      }
      transpose(tile);
      for (int64_t i = 0; i < kLanes && step + i < steps; ++i)
        to[(step + i) * kTileVectors + v] = Operand::vector_of(tile[i]);
    }
  }
}

/// Output [head_dim][kQueries], each query's times its share -> rows of a tensor.
template <class T>
BRUME_INLINE void unpack_output(const Floats* output, const Floats* share, int64_t count, int64_t head_dim,
                                T* to, int64_t stride) {
  for (int64_t c = 0; c < head_dim; c += kLanes) {
    const int64_t some = head_dim - c < kLanes ? head_dim - c : kLanes;
    for (int64_t v = 0; v < kTileVectors && v * kLanes < count; ++v) {
      Words tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i)
        tile[i] = i < some ? bits_of(output[(c + i) * kTileVectors + v] * share[v]) : Words{};
      transpose(tile);
      for (int64_t i = 0; i < kLanes && v * kLanes + i < count; ++i) {
        T* row = to + (v * kLanes + i) * stride + c;
        if (some == kLanes)
          store(floats_of(tile[i]), row);
        else
          store_some(floats_of(tile[i]), row, some);
      }
    }
  }
}

/// Keys and values of one head, laid out for the products: keys [Tk][head_dim], values [Tk /
/// depth][head_dim][depth], head_dim rounded up to the depth and Tk to kTileRows, with zeros.
template <class Operand, class T>
void pack(const AttentionHead& head, void* keys_to, void* values_to) {
  constexpr int64_t kDepth = Operand::kDepth;
  using Stored = typename Operand::Stored;
  const int64_t width = round_up(head.head_dim, kDepth);
  const int64_t count = round_up(head.keys, kTileRows);
  const T* k = static_cast<const T*>(head.k);
  const T* v = static_cast<const T*>(head.v);
  for (int64_t t = 0; t < count; ++t) {
    Stored* to = static_cast<Stored*>(keys_to) + t * width;
    const int64_t there = t < head.keys ? head.head_dim : 0;
    for (int64_t c = 0; c < there; ++c) convert(k[t * head.k_stride + c], to + c);
    for (int64_t c = there; c < width; ++c) to[c] = {};
  }
  for (int64_t t = 0; t < count; t += kDepth) {
    Stored* __restrict to = static_cast<Stored*>(values_to) + t * width;
    const T* first = v + t * head.v_stride;
    const int64_t there = t + kDepth <= head.keys ? head.head_dim : 0;
    for (int64_t c = 0; c < there; ++c) {
      for (int64_t i = 0; i < kDepth; ++i) convert(first[i * head.v_stride + c], to + c * kDepth + i);
    }
    for (int64_t c = there; c < width; ++c) {
      for (int64_t i = 0; i < kDepth; ++i) {
        if (t + i < head.keys && c < head.head_dim)
          convert(first[i * head.v_stride + c], to + c * kDepth + i);
        else
          to[c * kDepth + i] = {};
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
  auto* queries = reinterpret_cast<typename Operand::Vector*>(output + width * kTileVectors);
  pack_queries<Operand>(static_cast<const T*>(head.q) + first * head.q_stride, head.q_stride, count,
                        head.head_dim, queries);
  for (int v = 0; v < kTileVectors; ++v) {
    block.reference[v] = all(-__builtin_inff());
    block.limit[v] = all(-__builtin_inff());
    block.total[v] = Floats{};
  }
  for (int64_t i = 0; i < width * kTileVectors; ++i) output[i] = Floats{};

  int64_t gathered = 0;
  for (int64_t key = 0; key < head.keys; key += kTileRows) {
    Tile<kTileRows> scores;
    score<Operand>(scores, keys + key * width, width / kDepth, queries);
    for (int64_t r = kTileRows - 1; key + r >= head.keys; --r) {
      for (int v = 0; v < kTileVectors; ++v) scores[r][v] = all(-__builtin_inff());
    }
    if (!within_limit(scores, block)) {
      gather(block, values + gathered * width, width, key - gathered, output);
      gathered = key;
      move_reference(block, scores, head.scale_log2, output, width);
    }
    weigh(block, scores, head.scale_log2, block.weights + (key - gathered) / kDepth);
    if (key + kTileRows - gathered == kAttentionKeys) {
      gather(block, values + gathered * width, width, kAttentionKeys, output);
      gathered += kAttentionKeys;
    }
  }
  gather(block, values + gathered * width, width, round_up(head.keys, kTileRows) - gathered, output);

  Floats share[kTileVectors];
  for (int v = 0; v < kTileVectors; ++v) share[v] = 1.0F / block.total[v];
  unpack_output(output, share, count, head.head_dim, static_cast<T*>(head.out) + first * head.out_stride,
                head.out_stride);
}

}  // namespace
}  // namespace brume::kernels::cpu

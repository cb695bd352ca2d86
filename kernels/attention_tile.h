#pragma once
#include "kernels/attention_params.h"
#include "kernels/budget.h"
#include "kernels/device/device.h"
#include "kernels/device/fragment.h"

// What the attention kernels share: tiles of rows in shared memory, and the two matrix products of a tile.
namespace brume::kernels {

using device::Shared;

/// Sizes of one kernel. A block of four warps; each warp has kRowTiles times 16 queries to itself, and works
/// with kKeys keys at a time; a multiprocessor should have registers for kBlocks of them at once. Q K^T runs
/// over head_dim in steps of 16, P V over it in steps of 8: neither is padded further.
template <class ElementType, int kHeadDimension, int kRowTilesOfWarp, int kKeysOfTile, int kBlocksAtOnce>
struct AttentionTile {
  using Element = ElementType;
  static constexpr int kHeadDim = kHeadDimension;
  static constexpr int kRowTiles = kRowTilesOfWarp;
  static constexpr int kKeys = kKeysOfTile;
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kQueries = kWarps * 16 * kRowTiles;
  static constexpr KernelBudget kBudget{kThreads, kBlocksAtOnce, kSharedBytesAnywhere};
  static constexpr int kChunk = 8;  // elements in 16 bytes
  static constexpr int kDepthSteps = device::ceil_div(kHeadDim, 16);
  static constexpr int kDepthChunks =
      2 * kDepthSteps;  // of a row of q or k, the last one zero where head_dim is odd
  static constexpr int kValueChunks = kHeadDim / kChunk;  // of a row of v
  static constexpr int kKeyTiles = kKeys / 8;             // accumulator tiles of the scores
  static constexpr int kQueryElements = kQueries * kDepthChunks * kChunk;
  static constexpr int kKeyElements = kKeys * kDepthChunks * kChunk;
  static constexpr int kValueElements = kKeys * kValueChunks * kChunk;
  static constexpr int kProducts =
      kRowTiles * (kKeyTiles * kDepthSteps + kKeys / 16 * kValueChunks);  // of a warp
  static_assert(kHeadDim % kChunk == 0 && kKeys % 16 == 0);
};

/// Rows of one head of a tensor.
template <class T>
struct HeadRows {
  const T* first;
  int64_t stride;  // elements between rows
  int count;

  BRUME_DEVICE HeadRows(const void* base, const TokenStrides& strides, int rows)
      : first(static_cast<const T*>(base) + device::block_z() * strides.picture +
              device::block_y() * strides.head),
        stride(strides.token),
        count(rows) {}
};

/// Orders copies of rows [from, from + kRows) into a tile; what lies beyond the tensor's rows or beyond
/// kHeadDim becomes zero. A thread keeps to one chunk of a row, so that its next address is one addition
/// away; with a chunk count that does not divide the threads a few have nothing to do.
template <int kRows, int kChunks, int kHeadDim, int kThreads, class T>
BRUME_DEVICE void copy_rows(Shared<T> tile, const HeadRows<T>& rows, int from) {
  constexpr int kRowsAtOnce = kThreads / kChunks;
  const int chunk = device::thread() % kChunks;
  const int first_row = device::thread() / kChunks;
  if (kThreads % kChunks != 0 && first_row >= kRowsAtOnce) return;
  const bool in_head = kChunks * 8 == kHeadDim || chunk * 8 < kHeadDim;
  const T* place = rows.first + (from + first_row) * rows.stride + chunk * 8;
  BRUME_UNROLL
  for (int step = 0; step < device::ceil_div(kRows, kRowsAtOnce); ++step) {
    const int row = step * kRowsAtOnce + first_row;
    if (kRows % kRowsAtOnce != 0 && row >= kRows) break;
    const bool inside = in_head && from + row < rows.count;
    device::copy_async_16(tile + device::swizzled_chunk<kChunks>(row, chunk) * 8, inside ? place : rows.first,
                          inside ? 16 : 0);
    place += kRowsAtOnce * rows.stride;
  }
}

/// A warp's queries as left factors: [row tile][step over head_dim].
template <class Tile>
struct QueryFragments {
  uint32_t registers[Tile::kRowTiles][Tile::kDepthSteps][4];

  BRUME_DEVICE void load(Shared<typename Tile::Element> tile) {
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      const int row = (device::warp() * Tile::kRowTiles + r) * 16 + device::lane() % 16;
      BRUME_UNROLL
      for (int step = 0; step < Tile::kDepthSteps; ++step) {
        const int chunk = 2 * step + device::lane() / 16;
        device::load_matrices_4(registers[r][step],
                                tile + device::swizzled_chunk<Tile::kDepthChunks>(row, chunk) * Tile::kChunk);
      }
    }
  }
};

/// A warp's scores, unscaled: [row tile][eight keys][accumulator].
template <class Tile>
struct Scores {
  float values[Tile::kRowTiles][Tile::kKeyTiles][4];

  BRUME_DEVICE void compute(const QueryFragments<Tile>& queries, Shared<typename Tile::Element> keys) {
    using T = typename Tile::Element;
    BRUME_UNROLL
    for (int pair = 0; pair < Tile::kKeyTiles / 2; ++pair) {
      BRUME_UNROLL
      for (int r = 0; r < Tile::kRowTiles; ++r) {
        BRUME_UNROLL
        for (int i = 0; i < 4; ++i) values[r][2 * pair][i] = values[r][2 * pair + 1][i] = 0;
      }
      // Lanes 0-7 and 8-15 name the two chunks of eight keys, lanes 16-31 those of the next eight.
      const int row = pair * 16 + device::lane() / 16 * 8 + device::lane() % 8;
      BRUME_UNROLL
      for (int step = 0; step < Tile::kDepthSteps; ++step) {
        const int chunk = 2 * step + device::lane() / 8 % 2;
        uint32_t right[4];
        device::load_matrices_4(right,
                                keys + device::swizzled_chunk<Tile::kDepthChunks>(row, chunk) * Tile::kChunk);
        const uint32_t first[2] = {right[0], right[1]};
        const uint32_t second[2] = {right[2], right[3]};
        BRUME_UNROLL
        for (int r = 0; r < Tile::kRowTiles; ++r) {
          device::multiply_16_8_16<T>(values[r][2 * pair], queries.registers[r][step], first);
          device::multiply_16_8_16<T>(values[r][2 * pair + 1], queries.registers[r][step], second);
        }
      }
    }
  }

  /// Keys from `count` on do not exist.
  BRUME_DEVICE void mask(int count) {
    BRUME_UNROLL
    for (int tile = 0; tile < Tile::kKeyTiles; ++tile) {
      BRUME_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int key = tile * 8 + device::accumulator_place(device::lane(), i).column;
        BRUME_UNROLL
        for (int r = 0; r < Tile::kRowTiles; ++r) {
          if (key >= count) values[r][tile][i] = -device::infinity();
        }
      }
    }
  }
};

/// Softmax over rows that four neighbouring lanes share: `half` 0 is row lane / 4 of a row tile, 1 the row 8
/// below.
template <class Tile>
struct RunningSoftmax {
  float largest[Tile::kRowTiles][2];  // so far, unscaled
  float sum[Tile::kRowTiles][2];      // of this lane's columns alone, until finish

  BRUME_DEVICE RunningSoftmax() {
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      BRUME_UNROLL
      for (int half = 0; half < 2; ++half) {
        largest[r][half] = -device::infinity();
        sum[r][half] = 0;
      }
    }
  }

  /// Turns scores into exponentials relative to the largest so far; `shrink` is what earlier sums and outputs
  /// must be multiplied by.
  BRUME_DEVICE void take(Scores<Tile>& scores, float scale_log2, float (&shrink)[Tile::kRowTiles][2]) {
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      BRUME_UNROLL
      for (int half = 0; half < 2; ++half) {
        float peak = largest[r][half];
        BRUME_UNROLL
        for (int tile = 0; tile < Tile::kKeyTiles; ++tile) {
          peak = device::maximum(peak, scores.values[r][tile][2 * half]);
          peak = device::maximum(peak, scores.values[r][tile][2 * half + 1]);
        }
        peak = device::maximum(peak, device::shuffle_xor(peak, 1));
        peak = device::maximum(peak, device::shuffle_xor(peak, 2));
        // A row that has seen only -inf so far has weights of zero, not the nan of inf - inf. The peak is
        // taken away before the scaling: a product rounded first would be off by whole powers where scores
        // are huge.
        const float reference = peak == -device::infinity() ? 0.0F : peak;
        shrink[r][half] = device::exp2_fast((largest[r][half] - reference) * scale_log2);
        largest[r][half] = peak;
        float added = 0;
        BRUME_UNROLL
        for (int tile = 0; tile < Tile::kKeyTiles; ++tile) {
          BRUME_UNROLL
          for (int i = 0; i < 2; ++i) {
            float& score = scores.values[r][tile][2 * half + i];
            score = device::exp2_fast((score - reference) * scale_log2);
            added += score;
          }
        }
        sum[r][half] = device::multiply_add(sum[r][half], shrink[r][half], added);
      }
    }
  }

  /// The reciprocals of the rows' sums; zero, as the output is, of rows whose scores are all -inf.
  BRUME_DEVICE void finish(float (&reciprocal)[Tile::kRowTiles][2]) const {
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      BRUME_UNROLL
      for (int half = 0; half < 2; ++half) {
        float total = sum[r][half];
        total += device::shuffle_xor(total, 1);
        total += device::shuffle_xor(total, 2);
        reciprocal[r][half] = total == 0 ? 0.0F : device::reciprocal_fast(total);
      }
    }
  }
};

/// A warp's output: [row tile][eight columns of the head][accumulator].
template <class Tile>
struct Output {
  using T = typename Tile::Element;
  float values[Tile::kRowTiles][Tile::kValueChunks][4];

  BRUME_DEVICE Output() {
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      BRUME_UNROLL
      for (int n = 0; n < Tile::kValueChunks; ++n) {
        BRUME_UNROLL
        for (int i = 0; i < 4; ++i) values[r][n][i] = 0;
      }
    }
  }

  BRUME_DEVICE void scale(const float (&factor)[Tile::kRowTiles][2]) {
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      BRUME_UNROLL
      for (int n = 0; n < Tile::kValueChunks; ++n) {
        BRUME_UNROLL
        for (int i = 0; i < 4; ++i) values[r][n][i] *= factor[r][i / 2];
      }
    }
  }

  /// Adds the weights times the values of a tile. The accumulators of two neighbouring score tiles are,
  /// packed, the left factor of sixteen keys.
  BRUME_DEVICE void add(const Scores<Tile>& weights, Shared<T> tile) {
    BRUME_UNROLL
    for (int step = 0; step < Tile::kKeys / 16; ++step) {
      uint32_t left[Tile::kRowTiles][4];
      BRUME_UNROLL
      for (int r = 0; r < Tile::kRowTiles; ++r) {
        BRUME_UNROLL
        for (int i = 0; i < 4; ++i) {
          const float(&pair)[4] = weights.values[r][2 * step + i / 2];
          left[r][i] = device::pack<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
        }
      }
      const int row = step * 16 + device::lane() % 16;
      BRUME_UNROLL
      for (int n = 0; n + 1 < Tile::kValueChunks; n += 2) {
        uint32_t right[4];
        const int chunk = n + device::lane() / 16;
        device::load_matrices_4_transposed(
            right, tile + device::swizzled_chunk<Tile::kValueChunks>(row, chunk) * Tile::kChunk);
        const uint32_t first[2] = {right[0], right[1]};
        const uint32_t second[2] = {right[2], right[3]};
        BRUME_UNROLL
        for (int r = 0; r < Tile::kRowTiles; ++r) {
          device::multiply_16_8_16<T>(values[r][n], left[r], first);
          device::multiply_16_8_16<T>(values[r][n + 1], left[r], second);
        }
      }
      if constexpr (Tile::kValueChunks % 2 == 1) {
        constexpr int kLast = Tile::kValueChunks - 1;
        uint32_t right[2];
        device::load_matrices_2_transposed(
            right, tile + device::swizzled_chunk<Tile::kValueChunks>(row, kLast) * Tile::kChunk);
        BRUME_UNROLL
        for (int r = 0; r < Tile::kRowTiles; ++r)
          device::multiply_16_8_16<T>(values[r][kLast], left[r], right);
      }
    }
  }

  /// Writes the warp's rows of the query tile that begins at row `from`.
  BRUME_DEVICE void store(const AttentionParams& params, int from) const {
    T* const out = static_cast<T*>(params.out) + device::block_z() * params.out_strides.picture +
                   device::block_y() * params.out_strides.head;
    BRUME_UNROLL
    for (int r = 0; r < Tile::kRowTiles; ++r) {
      BRUME_UNROLL
      for (int half = 0; half < 2; ++half) {
        const int row = from + (device::warp() * Tile::kRowTiles + r) * 16 + device::lane() / 4 + half * 8;
        if (row >= params.queries) continue;
        BRUME_UNROLL
        for (int n = 0; n < Tile::kValueChunks; ++n) {
          const int column = n * 8 + device::lane() % 4 * 2;
          device::store_global(out + row * params.out_strides.token + column,
                               device::pack<T>(values[r][n][2 * half], values[r][n][2 * half + 1]));
        }
      }
    }
  }
};

}  // namespace brume::kernels

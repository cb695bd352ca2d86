#pragma once
#include "kernels/cpu/attention.h"
#include "kernels/cpu/tiles.h"

#if defined(BRUME_TILES)

namespace brume::kernels::cpu {
namespace {

// The attention of attention.h by AMX. A lane is a query here too, so that the pairs of queries and of
// weights are the columns that a product of tiles wants, and keys and values its rows. Tiles work beside the
// vectors: a tile's scores are asked for before the exponentials of the one before it are taken, and the
// values of a chunk of keys are gathered while the next chunk is weighed.

constexpr int64_t kChunkKeys = 128;
constexpr int64_t kChunkTiles = kChunkKeys / kTileSide;
static_assert(kTileVectors == 3 && kLanes == kTileSide);

/// How great the weights of a tile's keys may be in sum before the reference is moved.
constexpr float kMostWeight = 4096;

/// The scratch of one block of queries, in the order it lies in memory.
struct TileBlock {
  Words weights[2][kChunkKeys / 2][kTileVectors];  // pairs, of the chunk in hand and of the one before it
  Floats scores[2][kTileSide][kTileVectors];       // of the tile in hand and of the next
  Floats reference[kTileVectors];  // what is taken from a score times the scale: a whole number
  Floats total[kTileVectors];      // of the weights
};

/// Channels of a packed key, and of a packed value.
constexpr int64_t key_width(int64_t head_dim) { return round_up(head_dim, kTileDepth); }
constexpr int64_t value_width(int64_t head_dim) { return round_up(head_dim, kTileSide); }

inline int64_t tiles_packed_bytes(int64_t keys, int64_t head_dim) {
  return round_up(keys, kTileDepth) * key_width(head_dim) * static_cast<int64_t>(sizeof(Bf16));
}
inline int64_t tiles_scratch_bytes(int64_t head_dim) {
  return static_cast<int64_t>(sizeof(TileBlock)) +
         kQueries * (value_width(head_dim) * static_cast<int64_t>(sizeof(float)) +
                     key_width(head_dim) * static_cast<int64_t>(sizeof(Bf16)));
}

/// Keys as [Tk / 16][width / 32] tiles of [16 keys][32 channels].
inline void pack_key_tiles(const AttentionHead& head, char* to) {
  const auto* k = static_cast<const Bf16*>(head.k);
  const int64_t width = key_width(head.head_dim);
  for (int64_t key = 0; key < round_up(head.keys, kTileSide); ++key) {
    char* row = to + key / kTileSide * (width / kTileDepth) * kTileBytes + key % kTileSide * kTileRowBytes;
    for (int64_t c = 0; c < width; c += kTileDepth, row += kTileBytes) {
      const Words channels =
          key < head.keys ? PairOperand::load_steps(k + key * head.k_stride + c, head.head_dim - c) : Words{};
      std::memcpy(row, &channels, sizeof channels);
    }
  }
}

/// Values as [Tk / 32][width / 16] tiles of [16 channels][32 keys].
inline void pack_value_tiles(const AttentionHead& head, char* to) {
  const auto* v = static_cast<const Bf16*>(head.v);
  for (int64_t key = 0; key < head.keys; key += kTileDepth) {
    for (int64_t c = 0; c < head.head_dim; c += kTileSide, to += kTileBytes) {
      const int64_t there = head.head_dim - c < kTileSide ? head.head_dim - c : kTileSide;
      const auto channels_of = [&](int64_t one) {
        Halves channels{};
        if (one < head.keys)
          std::memcpy(&channels, v + one * head.v_stride + c, static_cast<size_t>(there) * sizeof(Bf16));
        return __builtin_convertvector(channels, Words);
      };
      Words tile[kLanes];
      for (int64_t i = 0; i < kLanes; ++i)
        tile[i] = channels_of(key + 2 * i) | (channels_of(key + 2 * i + 1) << 16);
      transpose(tile);
      std::memcpy(to, tile, sizeof tile);
    }
  }
}

/// Keys and values of one head as tiles, with zeros where there are none.
inline void pack_tiles(const AttentionHead& head, void* keys_to, void* values_to) {
  pack_key_tiles(head, static_cast<char*>(keys_to));
  pack_value_tiles(head, static_cast<char*>(values_to));
}

/// 2^x to 9e-5 of it: a bfloat16 keeps less.
BRUME_INLINE Floats weight_of(Floats x) {
  const Floats f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);  // x - floor(x); of an infinity, zero
  Floats p = all(7.70670420e-2F);
  p = p * f + 2.27644991e-1F;
  p = p * f + 6.95116786e-1F;
  p = p * f + 1.0F;
  return _mm512_scalef_ps(p, x);  // by floor(x)
}

/// A head's attention for one block of queries, which stands in `scratch`.
class TileAttention {
 public:
  TileAttention(const AttentionHead& head, const void* keys, const void* values, void* scratch)
      : head_(head),
        keys_(static_cast<const char*>(keys)),
        values_(static_cast<const char*>(values)),
        key_tiles_(key_width(head.head_dim) / kTileDepth),
        value_tiles_(value_width(head.head_dim) / kTileSide),
        block_(*static_cast<TileBlock*>(scratch)),
        output_(reinterpret_cast<Floats*>(static_cast<char*>(scratch) + sizeof(TileBlock))),
        queries_(reinterpret_cast<Words*>(output_ + value_width(head.head_dim) * kTileVectors)) {}

  void attend(int64_t first) {
    const int64_t count = head_.queries - first < kQueries ? head_.queries - first : kQueries;
    begin(first, count);
    const int64_t tiles = (head_.keys + kTileSide - 1) / kTileSide;
    score(0);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      if (tile + 1 < tiles) score(tile + 1);
      gather((value_tiles_ + kChunkTiles - 1) / kChunkTiles);
      weigh(tile);
      if ((tile + 1) % kChunkTiles == 0 || tile + 1 == tiles) end_chunk(tile % kChunkTiles + 1);
    }
    gather(value_tiles_);
    Floats share[kTileVectors];
    for (int v = 0; v < kTileVectors; ++v) share[v] = 1.0F / block_.total[v];
    unpack_output(output_, share, count, head_.head_dim,
                  static_cast<Bf16*>(head_.out) + first * head_.out_stride, head_.out_stride);
  }

 private:
  void begin(int64_t first, int64_t count) {
    for (int64_t i = 0; i < key_tiles_ * kTileSide * kTileVectors; ++i) queries_[i] = Words{};
    pack_queries<PairOperand>(static_cast<const Bf16*>(head_.q) + first * head_.q_stride, head_.q_stride,
                              count, head_.head_dim, queries_);
    for (int v = 0; v < kTileVectors; ++v) {
      block_.reference[v] = all(-0x1p126F);  // the first tile moves it
      block_.total[v] = Floats{};
    }
    for (int64_t i = 0; i < value_tiles_ * kTileSide * kTileVectors; ++i) output_[i] = Floats{};
  }

  void score(int64_t tile) {
    clear_results();
    multiply_tiles(keys_ + tile * key_tiles_ * kTileBytes, 1, queries_, key_tiles_);
    store_results(&block_.scores[tile % 2][0][0]);
  }

  void weigh(int64_t tile) {
    auto& scores = block_.scores[tile % 2];
    for (int64_t key = head_.keys - tile * kTileSide; key < kTileSide; ++key) {
      for (int v = 0; v < kTileVectors; ++v) scores[key][v] = all(-__builtin_inff());
    }
    if (!try_to_weigh(tile)) {
      move_reference(tile);
      try_to_weigh(tile);
    }
  }

  /// Weights of a tile's keys; false where one may be so great that the reference has to be moved first.
  bool try_to_weigh(int64_t tile) {
    const auto& scores = block_.scores[tile % 2];
    auto* weights = weights_of_chunk() + tile % kChunkTiles * (kTileSide / 2);
    Floats total[kTileVectors];
    bool above = false;
    for (int v = 0; v < kTileVectors; ++v) {
      const Floats reference = block_.reference[v];
      Floats sum{};
#pragma GCC unroll 8
      for (int64_t key = 0; key < kTileSide; key += 2) {
        const Floats pair[2] = {weight_of(scores[key][v] * head_.scale_log2 - reference),
                                weight_of(scores[key + 1][v] * head_.scale_log2 - reference)};
        sum += pair[0];
        sum += pair[1];
        PairOperand::store_step(pair, &weights[key / 2][v]);
      }
      total[v] = sum;
      above |= any_greater(sum, all(kMostWeight));
    }
    if (above) return false;
    for (int v = 0; v < kTileVectors; ++v) block_.total[v] += total[v];
    return true;
  }

  /// Moves the reference to the tile's greatest score; total, output and the chunk's weights follow, exactly.
  __attribute__((noinline)) void move_reference(int64_t tile) {
    gather(value_tiles_);
    const auto& scores = block_.scores[tile % 2];
    for (int v = 0; v < kTileVectors; ++v) {
      Floats peak = scores[0][v];
      for (int64_t key = 1; key < kTileSide; ++key) peak = greater(peak, scores[key][v]);
      const Floats moved = greater(block_.reference[v],
                                   _mm512_roundscale_ps(peak * head_.scale_log2, _MM_FROUND_TO_NEAREST_INT));
      const Floats shrink = exp2_of(block_.reference[v] - moved);
      block_.reference[v] = moved;
      block_.total[v] *= shrink;
      for (int64_t c = 0; c < value_tiles_ * kTileSide; ++c) output_[c * kTileVectors + v] *= shrink;
      for (int64_t pair = 0; pair < tile % kChunkTiles * (kTileSide / 2); ++pair) {
        Words& weights = weights_of_chunk()[pair][v];
        const Floats both[2] = {floats_of(weights << 16) * shrink, floats_of(weights & 0xFFFF0000U) * shrink};
        PairOperand::store_step(both, &weights);
      }
    }
  }

  /// The chunk in hand, which has so many tiles, is the one to be gathered now.
  void end_chunk(int64_t tiles) {
    gather(value_tiles_);
    auto* weights = weights_of_chunk();
    if (tiles % 2 != 0) {  // half a step is missing
      for (int64_t pair = 0; pair < kTileSide / 2; ++pair) {
        for (int v = 0; v < kTileVectors; ++v) weights[tiles * (kTileSide / 2) + pair][v] = Words{};
      }
    }
    gathered_from_ = chunk_++;
    steps_ = (tiles + 1) / 2;
    next_ = 0;
  }

  /// Adds the values of the chunk before to some tiles of channels, or to all that are left of them.
  void gather(int64_t tiles) {
    for (; tiles > 0 && next_ < value_tiles_; --tiles, ++next_) {
      Floats* to = output_ + next_ * kTileSide * kTileVectors;
      load_results(to);
      const int64_t first = gathered_from_ * (kChunkKeys / kTileDepth) * value_tiles_ + next_;
      multiply_tiles(values_ + first * kTileBytes, value_tiles_, &block_.weights[gathered_from_ % 2][0][0],
                     steps_);
      store_results(to);
    }
  }

  Words (*weights_of_chunk())[kTileVectors] { return block_.weights[chunk_ % 2]; }

  const AttentionHead& head_;
  const char* keys_;
  const char* values_;
  int64_t key_tiles_;
  int64_t value_tiles_;
  TileBlock& block_;
  Floats* output_;
  Words* queries_;
  int64_t chunk_ = 0;  // in hand
  // What is being gathered: a chunk, its steps, and its first tile of channels that is not done.
  int64_t gathered_from_ = 0;
  int64_t steps_ = 0;
  int64_t next_ = value_tiles_;
};

/// One block of queries of one head, over all keys. `scratch` of tiles_scratch_bytes().
inline void attend_tiles(const AttentionHead& head, const void* keys, const void* values, int64_t first,
                         void* scratch) {
  const Tiles tiles;
  TileAttention(head, keys, values, scratch).attend(first);
}

}  // namespace
}  // namespace brume::kernels::cpu

#endif

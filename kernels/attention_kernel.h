#pragma once
#include "kernels/attention_tile.h"

// Attention on tensor cores of sm_80 and up. On paper, fp16, batch 2; expected times, not measured (README.md
// has the rates, shares and formula):
//
//   streamed               GFLOP useful, done   exponentials   moved     A100      RTX 4090   H200
//   SD1.5   64x64, d 40    42.9   47.2          268 M          21.0 MB   268 us    383 us     158 us
//           32x32, d 80     5.4    5.4           17 M          10.5 MB    50 us     45 us      20 us
//           16x16, d 160    0.7    0.8            1 M           5.2 MB     9 us     14 us       7 us
//   at 768  96x96, d 40     217    239         1359 M          47.2 MB   1.32 ms   1.93 ms    0.79 ms
//           48x48, d 80    27.2   27.2           85 M          23.6 MB   165 us    246 us     102 us
//           24x24, d 160    3.4    3.4            5 M          11.8 MB    29 us     51 us      22 us
//   SDXL    64x64, d 64    85.9   85.9          336 M          41.9 MB   467 us    695 us     286 us
//           32x32, d 64    10.7   10.7           42 M          21.0 MB    60 us     89 us      38 us
//
// All of these are bound by the products, and the small ones by whole blocks: 128 of them at 32x32 leave most
// of an A100's 108 multiprocessors idle for the second, 64 at 16x16 half of any. At d 40 the exponentials
// come near on the large cards: 0.11 ms of an A100's beside 0.15 ms of products, 69 us of an H200's
// beside 76. The memory is never the bound; d 128 is in none of these models.
//
//   resident, 77 keys      GFLOP useful, done   exponentials   moved     A100      RTX 4090   H200
//   SD1.5   64x64, d 40     0.8    0.9            5 M          10.7 MB     9 us     15 us       5 us
//           32x32, d 80     0.4    0.4            1 M           5.6 MB     5 us      9 us       3 us
//           16x16, d 160    0.2    0.2          0.3 M           3.4 MB     4 us      6 us       3 us
//   SDXL    64x64, d 64     1.6    1.7            6 M          21.4 MB    15 us     28 us       8 us
//           32x32, d 64     0.8    0.8            3 M          11.3 MB     9 us     16 us       5 us
//
// These are bound by memory, q read and out written, and by the launch; at SD1.5's 64x64 on an H200 as much
// by the products.
//
// Registers, the most over sm_80, 86, 89, 90a and 120 (the budget is 128 for four blocks, 168 for three, 255
// for two); nothing spills:
//   streamed, two row tiles   d 40: 196          64: 250          80: 250
//   streamed, one row tile    d 40: 123          64: 162          80: 168   128: 246   160: 248
//   resident, 80 keys         d 40: 124          64: 158          80: 160   128: 203   160: 222
//   resident, 160 and 240     d 40: 157, 232     64: 164, 228     80: 221, 239
// Shared memory of a block: the two-stage or resident tiles, 25 to 95 KiB, so that every card can run each.
namespace brume::kernels {

/// Self-attention with an online softmax ("FlashAttention-2", Dao 2023): a block has a tile of queries, and
/// walks over the keys in tiles of which two are in shared memory, one at work and one on its way.
template <class Tile>
struct StreamedAttention {
  using T = typename Tile::Element;
  static constexpr KernelBudget kBudget = Tile::kBudget;
  static constexpr int kProducts = Tile::kProducts;
  static constexpr int kStageElements = Tile::kKeyElements + Tile::kValueElements;
  static constexpr int kSharedBytes =
      (Tile::kQueryElements + 2 * kStageElements) * static_cast<int>(sizeof(T));
  static_assert(kSharedBytes <= kBudget.shared_bytes);

  BRUME_DEVICE static void run(const AttentionParams& params) {
    const Shared<T> query_tile = device::shared_memory().template as<T>();
    const Shared<T> stages = query_tile + Tile::kQueryElements;
    const HeadRows<T> queries(params.q, params.q_strides, params.queries);
    const HeadRows<T> keys(params.k, params.k_strides, params.keys);
    const HeadRows<T> values(params.v, params.v_strides, params.keys);
    const int first_query = device::block_x() * Tile::kQueries;
    const int tiles = (params.keys + Tile::kKeys - 1) / Tile::kKeys;

    copy_rows<Tile::kQueries, Tile::kDepthChunks, Tile::kHeadDim, Tile::kThreads>(query_tile, queries,
                                                                                  first_query);
    copy_stage(stages, keys, values, 0);
    device::copy_async_commit();
    device::copy_async_wait<0>();
    device::block_barrier();
    QueryFragments<Tile> fragments;
    if constexpr (Tile::kRowTiles == 1) fragments.load(query_tile);

    RunningSoftmax<Tile> softmax;
    Output<Tile> output;
    // Only the last tile can hold keys that do not exist; the others are spared the comparisons.
    const auto work = [&](int tile, auto masked) {
      const Shared<T> stage = stages + tile % 2 * kStageElements;
      // Two row tiles leave no registers to keep the queries in.
      if constexpr (Tile::kRowTiles > 1) fragments.load(query_tile);
      Scores<Tile> scores;
      scores.compute(fragments, stage);
      if constexpr (masked.value) scores.mask(params.keys - tile * Tile::kKeys);
      float shrink[Tile::kRowTiles][2];
      softmax.take(scores, params.scale_log2, shrink);
      output.scale(shrink);
      output.add(scores, stage + Tile::kKeyElements);
    };
    for (int tile = 0; tile + 1 < tiles; ++tile) {
      copy_stage(stages + (tile + 1) % 2 * kStageElements, keys, values, tile + 1);
      device::copy_async_commit();
      work(tile, device::Constant<false>{});
      device::copy_async_wait<0>();
      device::block_barrier();  // the next tile is here, and everyone has done with this one
    }
    work(tiles - 1, device::Constant<true>{});
    float reciprocal[Tile::kRowTiles][2];
    softmax.finish(reciprocal);
    output.scale(reciprocal);
    output.store(params, first_query);
  }

 private:
  BRUME_DEVICE static void copy_stage(Shared<T> stage, const HeadRows<T>& keys, const HeadRows<T>& values,
                                      int tile) {
    copy_rows<Tile::kKeys, Tile::kDepthChunks, Tile::kHeadDim, Tile::kThreads>(stage, keys,
                                                                               tile * Tile::kKeys);
    copy_rows<Tile::kKeys, Tile::kValueChunks, Tile::kHeadDim, Tile::kThreads>(stage + Tile::kKeyElements,
                                                                               values, tile * Tile::kKeys);
  }
};

/// Cross-attention over at most Tile::kKeys keys: keys and values stay in shared memory while the block walks
/// over tiles of queries, and a row's scores are all in registers, so its softmax is taken in one pass.
template <class Tile>
struct ResidentAttention {
  using T = typename Tile::Element;
  static constexpr KernelBudget kBudget = Tile::kBudget;
  static constexpr int kProducts = Tile::kProducts;
  static constexpr int kSharedBytes =
      (2 * Tile::kQueryElements + Tile::kKeyElements + Tile::kValueElements) * static_cast<int>(sizeof(T));
  static_assert(kSharedBytes <= kBudget.shared_bytes);

  BRUME_DEVICE static void run(const AttentionParams& params) {
    const Shared<T> key_tile = device::shared_memory().template as<T>();
    const Shared<T> value_tile = key_tile + Tile::kKeyElements;
    const Shared<T> query_tiles = value_tile + Tile::kValueElements;
    const HeadRows<T> queries(params.q, params.q_strides, params.queries);
    const HeadRows<T> keys(params.k, params.k_strides, params.keys);
    const HeadRows<T> values(params.v, params.v_strides, params.keys);
    const int tiles = (params.queries + Tile::kQueries - 1) / Tile::kQueries;

    copy_rows<Tile::kKeys, Tile::kDepthChunks, Tile::kHeadDim, Tile::kThreads>(key_tile, keys, 0);
    copy_rows<Tile::kKeys, Tile::kValueChunks, Tile::kHeadDim, Tile::kThreads>(value_tile, values, 0);
    copy_queries(query_tiles, queries, device::block_x());
    device::copy_async_commit();
    int stage = 0;
    for (int tile = device::block_x(); tile < tiles; tile += device::blocks_x()) {
      device::copy_async_wait<0>();
      device::block_barrier();  // this tile is here, and everyone has done with the one before
      const int next = tile + device::blocks_x();
      if (next < tiles) copy_queries(query_tiles + (1 - stage) * Tile::kQueryElements, queries, next);
      device::copy_async_commit();
      QueryFragments<Tile> fragments;
      fragments.load(query_tiles + stage * Tile::kQueryElements);
      Scores<Tile> scores;
      scores.compute(fragments, key_tile);
      if (params.keys < Tile::kKeys) scores.mask(params.keys);
      RunningSoftmax<Tile> softmax;
      float shrink[Tile::kRowTiles][2];
      softmax.take(scores, params.scale_log2, shrink);
      Output<Tile> output;
      output.add(scores, value_tile);
      float reciprocal[Tile::kRowTiles][2];
      softmax.finish(reciprocal);
      output.scale(reciprocal);
      output.store(params, tile * Tile::kQueries);
      stage = 1 - stage;
    }
  }

 private:
  BRUME_DEVICE static void copy_queries(Shared<T> to, const HeadRows<T>& queries, int tile) {
    copy_rows<Tile::kQueries, Tile::kDepthChunks, Tile::kHeadDim, Tile::kThreads>(to, queries,
                                                                                  tile * Tile::kQueries);
  }
};

}  // namespace brume::kernels

#pragma once
#include "kernels/attention_tile.h"

// Attention on tensor cores of sm_80 and up. On paper, for SD1.5's 64x64 level (2 x 8 heads, 4096 tokens,
// head_dim 40): 43 GFLOP of useful products (48/40 and 40/40 of them done), 268 M exponentials, 21 MB of q,
// k, v and out.
//   A100 (312 TF/s, 108 SMs x 16 exponentials a clock = 2.4 T/s): products 0.15 ms, exponentials 0.11 ms
//   RTX 4090 (165 TF/s with fp32 sums, 5.2 T/s):                  products 0.29 ms, exponentials 0.05 ms
//   H200 (mma.sync reaches about 660 of 989 TF/s; 3.9 T/s):       products 0.07 ms, exponentials 0.07 ms
// At head_dim 40 the exponentials weigh as much as the products on the large cards, memory (21 MB) nowhere.
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

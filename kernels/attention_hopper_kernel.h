#pragma once
#include "kernels/attention_hopper_tile.h"

// Attention for sm_90a. On paper, one block's step of 128 queries and 128 keys on a multiprocessor of an H100
// or H200 (2048 products and 16 exponentials a clock, 128 bytes of shared memory):
//   head_dim                    40    64    80   128   160
//   products, clocks           704  1024  1280  2048  2560   (48 + 40 columns at head_dim 40)
//   exponentials, clocks      1024  1024  1024  1024  1024
//   shared memory, clocks      704   896  1120  1792  2240   (q, k and v read by each group, k and v written)
// At head_dim 40 the exponentials are the bound, from 64 on the products: the two consumer groups take turns,
// one at its exponentials while the other's products run.
//
// Whole maps on an H200, fp16, batch 2; expected, not measured (README.md). Each block reads all keys and
// values of its head from L2; what moves from memory is q, k, v and out, once.
//
//   map                    blocks, waves   products   exponentials   memory            from L2   expected
//   SD1.5   64x64, d 40     512    3.9      48 us      69 us         21.0 MB   4 us    0.35 GB   145 us
//           32x32, d 80     128    1.0     5.4 us     4.3 us         10.5 MB   2 us    47 MB      13 us
//           16x16, d 160     32    0.2     0.7 us     0.3 us          5.2 MB   1 us     8 MB       8 us
//   at 768  96x96, d 40    1152    8.7     242 us     352 us         47.2 MB  10 us    1.72 GB   727 us
//           48x48, d 80     288    2.2      27 us      22 us         23.6 MB   5 us    0.22 GB    78 us
//           24x24, d 160     80    0.6     4.2 us     1.7 us         11.8 MB   3 us    39 MB      16 us
//   SDXL    64x64, d 64     640    4.8      87 us      87 us         41.9 MB   9 us    0.69 GB   181 us
//           32x32, d 64     320    2.4      11 us      11 us         21.0 MB   4 us    94 MB      29 us
//
// Registers: 168 of a thread at the launch, which the producer's 128 threads give up to 24 and the consumers'
// 256 raise to 240; nothing spills. Shared memory: 112 to 200 KiB, one block a multiprocessor.
namespace brume::kernels {

struct HopperAttentionParams {
  device::TensorMap q;
  device::TensorMap k;
  device::TensorMap v;
  void* out;
  TokenStrides out_strides;
  int32_t queries;
  int32_t keys;
  float scale_log2;  // the scale times the binary logarithm of e
};

/// One warp group loads, two compute. `Tile` is a HopperTile.
template <class Tile>
struct HopperAttention {
  using T = typename Tile::Element;
  static constexpr int kSharedBytes = HopperMemory<Tile>::kBytes;
  // One block has the multiprocessor to itself; its groups then share the registers out among themselves.
  static constexpr KernelBudget kBudget{Tile::kThreads, 1, kSharedBytesOfHopper};
  // Of a thread, after the launch. There is no more to share out than the block was launched with (168 for
  // each of its threads, as sass_test demands), whatever else the multiprocessor has free: a group that asks
  // for more would wait for ever.
  static constexpr int kProducerRegisters = 24;
  static constexpr int kConsumerRegisters = 240;
  static_assert(128 * (kProducerRegisters + Tile::kConsumers * kConsumerRegisters) <=
                kBudget.registers() * Tile::kThreads);

  BRUME_DEVICE static void run(const HopperAttentionParams& params) {
    const HopperMemory<Tile> memory(device::swizzled_shared_memory());
    if (device::thread() == 0) memory.init_barriers();
    device::block_barrier();
    if (device::warp_group() == 0) {
      device::fewer_registers<kProducerRegisters>();
      if (device::warp() == 0 && device::elected()) produce(params, memory);
    } else {
      device::more_registers<kConsumerRegisters>();
      consume(params, memory, device::warp_group() - 1);
    }
  }

 private:
  BRUME_DEVICE static int tiles(const HopperAttentionParams& params) {
    return (params.keys + Tile::kKeys - 1) / Tile::kKeys;
  }

  BRUME_DEVICE static void produce(const HopperAttentionParams& params, const HopperMemory<Tile>& memory) {
    const auto load = [](Bytes to, const device::TensorMap& map, int row, device::Mbarrier full) {
      device::mbarrier_arrive_expect(full, Tile::kKeyBytes);
      BRUME_UNROLL
      for (int panel = 0; panel < Tile::kPanels; ++panel) {
        device::copy_tile_async(to + panel * Tile::kPanelStride, map,
                                {panel * Tile::kPanelColumns, device::block_y(), row, device::block_z()},
                                full);
      }
    };
    load(memory.queries(), params.q, device::block_x() * Tile::kQueries, memory.queries_full());
    const auto load_tile = [&](int tile, auto values) {
      const int stage = tile % Tile::kStages;
      // Nobody has used a stage before its first round: the phase before the first counts as ended.
      const int parity = 1 - tile / Tile::kStages % 2;
      device::mbarrier_wait(values.value ? memory.values_empty(stage) : memory.keys_empty(stage), parity);
      if constexpr (values.value) {
        load(memory.values(stage), params.v, tile * Tile::kKeys, memory.values_full(stage));
      } else {
        load(memory.keys(stage), params.k, tile * Tile::kKeys, memory.keys_full(stage));
      }
    };
    // In the order in which the consumers need and release them: keys are used a tile earlier than values.
    for (int tile = 0; tile < tiles(params); ++tile) {
      load_tile(tile, device::Constant<false>{});
      if (tile > 0) load_tile(tile - 1, device::Constant<true>{});
    }
    load_tile(tiles(params) - 1, device::Constant<true>{});
  }

  BRUME_DEVICE static void release(device::Mbarrier empty) {
    if (device::lane() == 0) device::mbarrier_arrive(empty);
  }

  /// The products of a tile's scores are started together with those of the tile before it with its values,
  /// so that the tensor cores have work while the group takes its softmax.
  BRUME_DEVICE static void consume(const HopperAttentionParams& params, const HopperMemory<Tile>& memory,
                                   int group) {
    const int count = tiles(params);
    const Bytes queries = memory.queries() + group * Tile::kGroupRows * Tile::kRowBytes;
    HopperRows<Tile> rows;
    HopperTurns turns(group, count);
    float shrink[2];
    // Ends by waiting for what the next products need. The loop in this wait also keeps the assembler from
    // moving the one for the products at work before the exponentials, where nothing would overlap.
    const auto take_softmax = [&](int tile) {
      if (tile + 1 == count) rows.mask(params.keys - tile * Tile::kKeys);
      rows.take_softmax(params.scale_log2, shrink);
      const bool more = tile + 1 < count;
      const int next = more ? tile + 1 : tile;
      const int stage = next % Tile::kStages;
      device::mbarrier_wait(more ? memory.keys_full(stage) : memory.values_full(stage),
                            next / Tile::kStages % 2);
    };

    device::mbarrier_wait(memory.queries_full(), 0);
    device::mbarrier_wait(memory.keys_full(0), 0);
    turns.wait();
    rows.start_scores(queries, memory.keys(0));
    turns.pass();
    device::group_wait<0>(rows.scores);
    release(memory.keys_empty(0));
    take_softmax(0);
    rows.pack_weights();
    for (int tile = 1; tile < count; ++tile) {
      const int stage = tile % Tile::kStages;
      const int before = (tile - 1) % Tile::kStages;  // the stage of the tile before
      turns.wait();
      rows.start_scores(queries, memory.keys(stage));
      device::mbarrier_wait(memory.values_full(before), (tile - 1) / Tile::kStages % 2);
      rows.start_output(memory.values(before));
      turns.pass();
      device::group_wait<1>(rows.scores);
      release(memory.keys_empty(stage));
      take_softmax(tile);
      device::group_wait<0>(rows.output);
      release(memory.values_empty(before));
      rows.scale_output(shrink);
      rows.pack_weights();
    }
    rows.start_output(memory.values((count - 1) % Tile::kStages));
    device::group_wait<0>(rows.output);
    rows.finish();
    T* const out = static_cast<T*>(params.out) + device::block_z() * params.out_strides.picture +
                   device::block_y() * params.out_strides.head;
    rows.store(out, params.out_strides.token, device::block_x() * Tile::kQueries + group * Tile::kGroupRows,
               params.queries);
  }
};

}  // namespace brume::kernels

#include <gtest/gtest.h>

#include "kernels/attention_hopper_instances.h"
#include "tests/machine/machine.h"

namespace brume::kernels::machine {

namespace {

template <class T>
Report run(const AttentionParams& params, const AttentionShape& shape, const HopperAttentionPlan& plan,
           uint32_t schedule) {
  Report report;
  EXPECT_TRUE(visit_attention_hopper<T>(plan, [&]<class Tile>() {
    EXPECT_EQ(plan.shared_bytes, HopperAttention<Tile>::kSharedBytes);
    EXPECT_EQ(plan.tile_queries, Tile::kQueries);
    EXPECT_EQ(plan.tile_keys, Tile::kKeys);
    EXPECT_EQ(plan.blocks, device::ceil_div(shape.queries, Tile::kQueries));
    const HopperAttentionParams arguments = hopper_params<Tile>(
        params, shape, [](const device::TensorTile& tile) { return device::TensorMap{tile}; });
    report = device::host::run_grid({.x = plan.blocks,
                                     .y = shape.heads,
                                     .z = shape.batch,
                                     .threads = Tile::kThreads,
                                     .shared_bytes = HopperAttention<Tile>::kSharedBytes,
                                     .schedule = schedule},
                                    [&] { HopperAttention<Tile>::run(arguments); });
  }));
  return report;
}

}  // namespace

Report attention_hopper(const AttentionParams& params, const AttentionShape& shape,
                        const HopperAttentionPlan& plan, Element element, uint32_t schedule) {
  return element == Element::kHalf ? run<device::Half>(params, shape, plan, schedule)
                                   : run<device::Bfloat16>(params, shape, plan, schedule);
}

}  // namespace brume::kernels::machine

#include <gtest/gtest.h>

#include "kernels/attention_hopper_instances.h"
#include "tests/attention_problem.h"

// The Hopper kernel's panels: widths that are not compiled for a GPU, and what the driver asks of their
// boxes.
namespace brume::kernels {
namespace {

using device::Half;

template <class Tile>
void expect_right_in_panels(const AttentionShape& shape) {
  Problem<typename Tile::Element> problem(shape, Strides::kOfTensorMaps);
  problem.fill(7, 1);
  const HopperAttentionParams params = hopper_params<Tile>(
      problem.params(), shape, [](const device::TensorTile& tile) { return device::TensorMap{tile}; });
  const device::host::Report report =
      device::host::run_grid({.x = device::ceil_div(shape.queries, Tile::kQueries),
                              .y = shape.heads,
                              .z = shape.batch,
                              .threads = Tile::kThreads,
                              .shared_bytes = HopperAttention<Tile>::kSharedBytes},
                             [&] { HopperAttention<Tile>::run(params); });
  ASSERT_TRUE(report.faults.empty()) << report.faults.front();
  EXPECT_EQ(report.bank_conflicts, 0);
  EXPECT_LT(problem.worst_error(), kMostUnits);
}

TEST(HopperPanels, OthersAreRightToo) {
  // None is compiled, but each is one line away once a GPU can say which is fastest.
  expect_right_in_panels<HopperTile<Half, 40, 8>>({1, 2, 50, 200, 40});
  expect_right_in_panels<HopperTile<Half, 40, 16>>({1, 2, 50, 200, 40});
  expect_right_in_panels<HopperTile<Half, 64, 32>>({1, 2, 50, 200, 64});
  expect_right_in_panels<HopperTile<Half, 80, 32>>({1, 2, 50, 200, 80});
  expect_right_in_panels<HopperTile<Half, 80, 64>>({1, 2, 50, 200, 80});
}

/// The plan for a shape, even where another kernel would take it for its few keys.
HopperAttentionPlan plan_for(AttentionShape shape) {
  shape.keys = 4096;
  return *plan_attention_hopper(shape, {132, 227 * 1024, 228 * 1024}, {9, 0});
}

TEST(HopperPlan, BoxesAreWhatTheDriverAccepts) {
  for (const int head_dim : {40, 64, 80, 128, 160}) {
    for (const AttentionShape& shape : {AttentionShape{1, 1, 1, 1, head_dim},
                                        {1, 8, 1, 4096, head_dim},
                                        {2, 1, 300, 1, head_dim},
                                        {2, 8, 65536, 65536, head_dim}}) {
      const int64_t width = int64_t{3} * shape.heads * head_dim;  // of a packed q, k and v
      const TokenStrides strides{shape.queries * width, width, head_dim};
      ASSERT_TRUE(visit_attention_hopper<Half>(plan_for(shape), [&]<class Tile>() {
        const device::TensorTile box = describe_rows<Tile>(nullptr, strides, shape, shape.queries);
        EXPECT_EQ(device::host::fault_of_map(box), "") << head_dim;
        EXPECT_EQ(box.bytes() * Tile::kPanels, Tile::kKeyBytes);
      }));
    }
  }
}

}  // namespace
}  // namespace brume::kernels

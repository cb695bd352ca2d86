#include <gtest/gtest.h>

#include "kernels/attention_hopper_instances.h"
#include "tests/attention_problem.h"

// Widths of the Hopper kernel's panels that are not compiled for a GPU.
namespace brume::kernels {
namespace {

using device::Half;

template <class Tile>
void expect_right_in_panels(const AttentionShape& shape) {
  Problem<typename Tile::Element> problem(shape);
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

}  // namespace
}  // namespace brume::kernels

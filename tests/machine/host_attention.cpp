#include <gtest/gtest.h>

#include "kernels/attention_instances.h"
#include "tests/machine/machine.h"

namespace brume::kernels::machine {

namespace {

template <class T>
Report run(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan) {
  Report report;
  EXPECT_TRUE(visit_attention<T>(plan, [&]<class Kernel>() {
    EXPECT_EQ(plan.shared_bytes, Kernel::kSharedBytes);
    EXPECT_EQ(plan.blocks_each, Kernel::kBudget.blocks);
    report = device::host::run_grid({.x = plan.blocks,
                                     .y = shape.heads,
                                     .z = shape.batch,
                                     .threads = Kernel::kBudget.threads,
                                     .shared_bytes = Kernel::kSharedBytes},
                                    [&] { Kernel::run(params); });
  }));
  return report;
}

}  // namespace

Report attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                 Element element) {
  return element == Element::kHalf ? run<device::Half>(params, shape, plan)
                                   : run<device::Bfloat16>(params, shape, plan);
}

}  // namespace brume::kernels::machine

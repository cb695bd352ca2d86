#include "tests/sass.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "kernels/geglu_kernel.h"
#include "kernels/group_norm_kernel.h"
#include "kernels/guided_step_kernel.h"
#include "kernels/layer_norm_kernel.h"
#include "kernels/silu_kernel.h"
#include "kernels/softmax_rows_kernel.h"
#include "kernels/timestep_embedding_kernel.h"
#include "tests/sass_attention.h"

// What the compiler made of the kernels: machine code for every architecture, nothing in local memory,
// registers and shared memory within each kernel's budget. (sass_attention_test.cpp has the tensor cores.)
namespace brume::kernels {
namespace {

/// Each kernel's budget, by the part of a symbol that names it.
std::map<std::string, KernelBudget> budgets() {
  using device::Bfloat16;
  using device::Half;
  std::map<std::string, KernelBudget> all = {
      {"geglu_kernel", device::kGegluBudget},
      {"group_norm_first_pass", device::GroupNorm<Half, 8>::kPassBudget},
      {"group_norm_one_launch", device::GroupNorm<Half, 8>::kOneLaunchBudget},
      {"group_norm_second_pass", device::GroupNorm<Half, 8>::kPassBudget},
      {"guided_step_kernel", device::kGuidedStepBudget},
      {"layer_norm_kernel", device::LayerNorm<Half, 8>::kBudget},
      {"silu_kernel", device::kSiluBudget},
      {"softmax_rows_kernel", SoftmaxRows<Half>::kBudget},
      {"timestep_embedding_kernel", device::kTimestepEmbeddingBudget},
  };
  for (const AttentionPlan& plan : all_plans()) {
    const auto add_attention = [&]<class Kernel>() {
      all.insert({attention_part<Kernel>(plan), Kernel::kBudget});
    };
    EXPECT_TRUE(visit_attention<Half>(plan, add_attention));
    EXPECT_TRUE(visit_attention<Bfloat16>(plan, add_attention));
  }
  const auto add_hopper = [&]<class Tile>() {
    all.insert({symbol_part<Tile>("HopperTile"), HopperAttention<Tile>::kBudget});
  };
  for (const HopperAttentionPlan& plan : all_hopper_plans()) {
    EXPECT_TRUE(visit_attention_hopper<Half>(plan, add_hopper));
    EXPECT_TRUE(visit_attention_hopper<Bfloat16>(plan, add_hopper));
  }
  return all;
}

TEST(Sass, EveryArchitectureHasEveryKernel) {
  std::set<std::string> architectures;
  std::map<std::string, std::set<std::string>> kernels;
  for (const auto& [architecture, used] : sass::resources()) {
    architectures.insert(architecture);
    for (const auto& [kernel, unused] : used) {
      if (!is_hopper(kernel)) kernels[architecture].insert(kernel);
    }
  }
  EXPECT_EQ(architectures, kArchitectures);
  EXPECT_FALSE(kernels["sm_80"].empty());
  for (const std::string& architecture : kArchitectures)
    EXPECT_EQ(kernels[architecture], kernels["sm_80"]) << architecture;
  EXPECT_EQ(sass::ptx(), std::set<std::string>{"sm_120"});
}

TEST(Sass, EveryKernelKeepsToItsBudgetAndNothingSpills) {
  const std::map<std::string, KernelBudget> all = budgets();
  std::set<std::string> met;
  for (const auto& [architecture, kernels] : sass::resources()) {
    // The driver's own KiB counts as the kernel's on newer architectures; ours is asked for at the launch.
    const int reserved = architecture == "sm_90a" || architecture == "sm_120" ? 1024 : 0;
    for (const auto& [kernel, used] : kernels) {
      SCOPED_TRACE(architecture + " " + kernel);
      EXPECT_EQ(used.stack, 0);
      EXPECT_EQ(used.local, 0);
      EXPECT_LE(used.shared, reserved);
      int found = 0;
      for (const auto& [part, budget] : all) {
        if (kernel.find(part) == std::string::npos) continue;
        ++found;
        met.insert(part);
        EXPECT_LE(used.registers, budget.registers());
        // What the groups of a Hopper block share out is what it was launched with: setmaxnreg waits for ever
        // for what is not there.
        if (is_hopper(kernel)) {
          EXPECT_EQ(used.registers, budget.registers());
        }
      }
      EXPECT_EQ(found, 1) << "budgets for this kernel; write one beside it, and name it in budgets()";
    }
  }
  for (const auto& [part, budget] : all)
    EXPECT_TRUE(met.contains(part) || (part == "softmax_rows_kernel" && !BRUME_HAS_WIDE)) << part;
}

TEST(Sass, NormsReadSixteenBytesAtOnce) {
  int seen = 0;
  for (const auto& [kernel, code] : sass::instructions("sm_80")) {
    const bool vectors = kernel.find("group_norm_first_pass") != std::string::npos &&
                         (kernel.find("4HalfELi8E") != std::string::npos ||
                          kernel.find("8Bfloat16ELi8E") != std::string::npos);
    if (!vectors) continue;
    ++seen;
    EXPECT_GT(sass::count(code, "LDG.E.128"), 0) << kernel;
  }
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace brume::kernels

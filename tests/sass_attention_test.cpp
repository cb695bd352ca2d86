#include "tests/sass_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

#include "tests/sass.h"

// What of the attention kernels only their machine code can show, as the host body does not have it: which
// products and loads the compiler made of the PTX, how many, and the fences and waits between them.
namespace brume::kernels {

std::vector<AttentionPlan> all_plans() {
  std::map<std::array<int, 4>, AttentionPlan> plans;
  for (const GpuLimits& gpu : {GpuLimits{1, 99 * 1024, 100 * 1024}, GpuLimits{132, 227 * 1024, 228 * 1024}}) {
    for (const int head_dim : {40, 64, 80, 128, 160}) {
      for (const int keys : {77, 154, 231, 4096}) {
        for (const int queries : {64, 256, 1024, 4096}) {
          const AttentionPlan plan = *plan_attention({2, 8, queries, keys, head_dim}, gpu);
          plans.insert({{static_cast<int>(plan.kind), head_dim, plan.row_tiles, plan.tile_keys}, plan});
        }
      }
    }
  }
  std::vector<AttentionPlan> list;
  for (const auto& [key, plan] : plans) list.push_back(plan);
  return list;
}

std::vector<HopperAttentionPlan> all_hopper_plans() {
  std::vector<HopperAttentionPlan> list;
  for (const int head_dim : {40, 64, 80, 128, 160})
    list.push_back(
        *plan_attention_hopper({2, 8, 4096, 4096, head_dim}, {132, 227 * 1024, 228 * 1024}, {9, 0}));
  return list;
}

namespace {

using sass::Code;
using sass::count;
using sass::Instruction;

template <class Kernel>
struct TileOfKernel;
template <template <class> class Kernel, class Tile>
struct TileOfKernel<Kernel<Tile>> {
  using type = Tile;
};

/// The code of the one kernel whose symbol has this part; empty where there is none, or more.
Code code_of(const std::map<std::string, Code>& kernels, const std::string& part) {
  std::vector<const Code*> found;
  for (const auto& [kernel, code] : kernels) {
    if (kernel.find(part) != std::string::npos) found.push_back(&code);
  }
  EXPECT_EQ(found.size(), 1U) << "kernels with " << part;
  return found.size() == 1 ? *found.front() : Code{};
}

/// All products of this name take factors of T, and add in fp32.
template <class T>
void expect_elements(const Code& code, const std::string& name) {
  const char* const wanted = std::is_same_v<T, device::Bfloat16> ? ".F32.BF16" : ".F32";
  for (const Instruction& one : code) {
    if (sass::is(one, name)) {
      EXPECT_TRUE(one.name.ends_with(wanted)) << one.name;
    }
  }
}

template <class Kernel>
void expect_attention(const Code& code) {
  using Tile = typename TileOfKernel<Kernel>::type;
  // The streamed kernel holds the work of a tile twice: with the mask and without. It loads its queries with
  // each, where two row tiles leave no registers to keep them in.
  constexpr bool kStreamed = std::is_same_v<Kernel, StreamedAttention<Tile>>;
  constexpr int kCopies = kStreamed ? 2 : 1;
  constexpr int kQueryCopies = kStreamed && Tile::kRowTiles > 1 ? 2 : 1;
  constexpr int kQueryLoads = Tile::kRowTiles * Tile::kDepthSteps;
  constexpr int kKeyLoads = Tile::kKeyTiles / 2 * Tile::kDepthSteps;
  constexpr int kSteps = Tile::kKeys / 16;
  EXPECT_EQ(count(code, "HMMA.16816"), kCopies * Kernel::kProducts);
  EXPECT_EQ(count(code, "HMMA"), count(code, "HMMA.16816"));
  expect_elements<typename Tile::Element>(code, "HMMA");
  // Queries and keys as they lie, values transposed.
  EXPECT_EQ(count(code, "LDSM.16.M88.4"), kQueryCopies * kQueryLoads + kCopies * kKeyLoads);
  EXPECT_EQ(count(code, "LDSM.16.MT88.4"), kCopies * kSteps * (Tile::kValueChunks / 2));
  EXPECT_EQ(count(code, "LDSM.16.MT88.2"), kCopies * kSteps * (Tile::kValueChunks % 2));
  EXPECT_EQ(count(code, "LDSM"),
            count(code, "LDSM.16.M88.4") + count(code, "LDSM.16.MT88.4") + count(code, "LDSM.16.MT88.2"));
  // Copies of sixteen bytes past L1, and a wait for each that is committed.
  EXPECT_GT(count(code, "LDGSTS.E.BYPASS.128"), 0);
  EXPECT_EQ(count(code, "LDGSTS"), count(code, "LDGSTS.E.BYPASS.128"));
  EXPECT_EQ(count(code, "LDGSTS", "P"), count(code, "LDGSTS"))
      << "a predicate says which are filled with zeros";
  EXPECT_EQ(count(code, "LDGDEPBAR"), 2);
  EXPECT_EQ(count(code, "DEPBAR.LE", "SB0, 0x0"), kCopies);
  EXPECT_GT(count(code, "MUFU.EX2"), 0);
  for (const char* unwanted : {"LDL", "STL"}) EXPECT_EQ(count(code, unwanted), 0) << unwanted;
}

TEST(SassAttention, UsesTensorCoresAndAsynchronousCopies) {
  for (const std::string& architecture : kArchitectures) {
    const auto kernels = sass::instructions(architecture);
    for (const AttentionPlan& plan : all_plans()) {
      const auto expect = [&]<class Kernel>() {
        const std::string part = attention_part<Kernel>(plan);
        SCOPED_TRACE(architecture + " " + part);
        expect_attention<Kernel>(code_of(kernels, part));
      };
      EXPECT_TRUE(visit_attention<device::Half>(plan, expect));
      EXPECT_TRUE(visit_attention<device::Bfloat16>(plan, expect));
    }
  }
}

std::string hexadecimal(int number) {
  std::ostringstream text;
  text << "0x" << std::hex << number;
  return text.str();
}

/// Products of a warp group of `columns` columns, by whether the left factor is in shared memory.
int products(const Code& code, int columns, bool left_in_shared) {
  const std::string name = "HGMMA.64x" + std::to_string(columns) + "x16";
  // "R88, gdesc[UR4], R88" and "R88, R128, gdesc[UR8].tnspB, R88".
  return static_cast<int>(std::count_if(code.begin(), code.end(), [&](const Instruction& one) {
    const size_t second = one.operands.find(", ") + 2;
    return sass::is(one, name) && (one.operands.compare(second, 5, "gdesc") == 0) == left_in_shared;
  }));
}

/// Whether what makes the barriers' first state visible to the copy engine comes after the last of them.
bool fence_follows_barriers(const Code& code) {
  const auto is = [](const char* name) {
    return [name](const Instruction& one) { return sass::is(one, name); };
  };
  const auto last = std::find_if(code.rbegin(), code.rend(), is("SYNCS.EXCH")).base();
  const auto meeting = std::find_if(last, code.end(), is("BAR.SYNC"));
  return last != code.begin() && std::any_of(last, meeting, is("FENCE.VIEW.ASYNC"));
}

template <class Tile>
void expect_hopper(const Code& code) {
  using Attention = HopperAttention<Tile>;
  // Scores are started in the code before the loop over the tiles and in it, the output in it and after it.
  constexpr int kCopies = 2;
  constexpr int kScores = kCopies * Tile::kDepthSteps;
  constexpr int kOutputs = kCopies * Tile::kKeys / 16;
  EXPECT_EQ(count(code, "HGMMA"), kScores + kOutputs);
  expect_elements<typename Tile::Element>(code, "HGMMA");
  EXPECT_EQ(products(code, Tile::kKeys, true), kScores);
  EXPECT_EQ(products(code, Tile::kHeadDim, false), kOutputs);
  EXPECT_EQ(count(code, "HGMMA", "tnspA"), 0);
  EXPECT_EQ(count(code, "HGMMA", "tnspB"), kOutputs) << "values, and they alone, are transposed";
  EXPECT_EQ(count(code, "HGMMA", "RZ, !UPT"), kCopies) << "a tile's first product of scores forgets the last";
  // A fence before each batch of products; a wait for all after the scores before the loop, the output in it
  // and after it, and in it one for the scores alone. More would be products that ptxas has put in a row.
  EXPECT_EQ(count(code, "WARPGROUP.ARRIVE"), 2 * kCopies);
  EXPECT_EQ(count(code, "WARPGROUP.DEPBAR.LE", "gsb0, 0x0"), 3);
  EXPECT_EQ(count(code, "WARPGROUP.DEPBAR.LE", "gsb0, 0x1"), 1);
  EXPECT_EQ(count(code, "WARPGROUP.DEPBAR"), 4);
  // Registers that change hands.
  EXPECT_EQ(count(code, "USETMAXREG.TRY_ALLOC.CTAPOOL", hexadecimal(Attention::kConsumerRegisters)), 1);
  EXPECT_EQ(count(code, "USETMAXREG.DEALLOC.CTAPOOL", hexadecimal(Attention::kProducerRegisters)), 1);
  EXPECT_EQ(count(code, "USETMAXREG"), 2);
  // Tiles copied by the copy engine, and barriers that count its bytes.
  EXPECT_GT(count(code, "UTMALDG.4D"), 0);
  EXPECT_EQ(count(code, "SYNCS.EXCH.64"), 1 + 4 * Tile::kStages);
  EXPECT_TRUE(fence_follows_barriers(code));
  EXPECT_GT(count(code, "MUFU.EX2"), 0);
  for (const char* unwanted : {"HMMA", "LDL", "STL", "LDGSTS", "LDSM"})
    EXPECT_EQ(count(code, unwanted), 0) << unwanted;
}

TEST(SassAttention, HopperUsesItsOwnInstructions) {
  const auto kernels = sass::instructions("sm_90a");
  const auto expect = [&]<class Tile>() {
    const std::string part = symbol_part<Tile>("HopperTile");
    SCOPED_TRACE(part);
    expect_hopper<Tile>(code_of(kernels, part));
  };
  for (const HopperAttentionPlan& plan : all_hopper_plans()) {
    EXPECT_TRUE(visit_attention_hopper<device::Half>(plan, expect));
    EXPECT_TRUE(visit_attention_hopper<device::Bfloat16>(plan, expect));
  }
  EXPECT_EQ(
      std::count_if(kernels.begin(), kernels.end(), [](const auto& one) { return is_hopper(one.first); }),
      10);
  for (const auto& [architecture, others] : sass::resources()) {
    if (architecture == "sm_90a") continue;
    for (const auto& [kernel, used] : others) EXPECT_FALSE(is_hopper(kernel)) << architecture;
  }
}

}  // namespace
}  // namespace brume::kernels

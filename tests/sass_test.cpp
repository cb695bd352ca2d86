#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <typeinfo>
#include <vector>

#include "kernels/attention_instances.h"

// What the compiler made of the kernels: machine code for every architecture, nothing in local memory,
// registers and shared memory within each kernel's budget, and the tensor cores at work.
namespace brume::kernels {
namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string text;
  std::array<char, 1 << 16> buffer{};
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
    text.append(buffer.data(), n);
  return text;
}

struct Resources {
  int registers = -1;
  int stack = -1;
  int local = -1;
};

/// Of each architecture, of each kernel by its mangled name.
using AllResources = std::map<std::string, std::map<std::string, Resources>>;

AllResources resources() {
  std::istringstream lines(
      output_of(std::string(BRUME_CUOBJDUMP) + " --dump-resource-usage " + BRUME_KERNELS));
  AllResources all;
  std::string architecture;
  std::string kernel;
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, match, std::regex("^arch = (sm_[0-9a-z]+)"))) architecture = match[1];
    if (std::regex_search(line, match, std::regex("Function ([^ :]+)"))) kernel = match[1];
    if (std::regex_search(line, match,
                          std::regex("REG:([0-9]+) STACK:([0-9]+) SHARED:[0-9]+ LOCAL:([0-9]+)")))
      all[architecture][kernel] = {std::stoi(match[1]), std::stoi(match[2]), std::stoi(match[3])};
  }
  return all;
}

/// How often each instruction stands in each kernel of an architecture, by its bare name; or `whole` alone,
/// an instruction with its modifiers.
std::map<std::string, std::map<std::string, int>> instructions(const std::string& architecture,
                                                               const std::string& whole = "") {
  std::istringstream lines(output_of("PATH=" + std::string(BRUME_CUDA_TOOLS) + ":$PATH " + BRUME_CUOBJDUMP +
                                     " -sass -arch " + architecture + " " + BRUME_KERNELS));
  std::map<std::string, std::map<std::string, int>> counts;
  std::string kernel;
  for (std::string line; std::getline(lines, line);) {
    const size_t function = line.find("Function : ");
    if (function != std::string::npos) {
      kernel = line.substr(function + 11);
      continue;
    }
    // "/*0040*/   @!P0 HMMA.16816.F32 R4, ... ;"
    size_t at = line.find("*/ ");
    if (at == std::string::npos || line.find(';') == std::string::npos) continue;
    at = line.find_first_not_of(' ', at + 2);
    if (line[at] == '@') at = line.find_first_not_of(' ', line.find(' ', at));
    if (whole.empty()) {
      ++counts[kernel][line.substr(at, line.find_first_of(". ;", at) - at)];
    } else if (line.compare(at, whole.size(), whole) == 0) {
      ++counts[kernel][whole];
    }
  }
  return counts;
}

/// Every plan there is, over many shapes and GPUs.
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

TEST(Sass, EveryArchitectureIsThereAndNothingSpills) {
  const AllResources all = resources();
  std::set<std::string> architectures;
  for (const auto& [architecture, kernels] : all) {
    architectures.insert(architecture);
    EXPECT_GE(kernels.size(), 38U) << architecture;
    for (const auto& [kernel, used] : kernels) {
      EXPECT_EQ(used.stack, 0) << architecture << " " << kernel;
      EXPECT_EQ(used.local, 0) << architecture << " " << kernel;
    }
  }
  EXPECT_EQ(architectures, (std::set<std::string>{"sm_80", "sm_86", "sm_89", "sm_90a", "sm_120"}));
  EXPECT_NE(output_of(std::string(BRUME_CUOBJDUMP) + " --list-ptx " + BRUME_KERNELS).find("sm_120"),
            std::string::npos);
}

/// A part of the kernel's symbol: the mangled name of its class but for the beginning.
template <class Kernel>
std::string symbol_part() {
  const std::string name = typeid(Kernel).name();
  return name.substr(name.find("Attention") - 8);
}

template <class T>
void expect_within_budget(const std::map<std::string, Resources>& kernels, const AttentionPlan& plan) {
  constexpr int kRegisters = 65536;
  constexpr int kThreads = 128;
  EXPECT_TRUE(visit_attention<T>(plan, [&]<class Kernel>() {
    const std::string part = symbol_part<Kernel>();
    int found = 0;
    for (const auto& [kernel, used] : kernels) {
      if (kernel.find(part) == std::string::npos) continue;
      ++found;
      EXPECT_LE(used.registers, kRegisters / (kThreads * Kernel::kBlocks)) << kernel;
    }
    EXPECT_EQ(found, 1) << part;
    EXPECT_LE(Kernel::kSharedBytes, 99 * 1024) << part;
  }));
}

TEST(Sass, AttentionStaysWithinItsBudget) {
  for (const auto& [architecture, kernels] : resources()) {
    SCOPED_TRACE(architecture);
    for (const AttentionPlan& plan : all_plans()) {
      expect_within_budget<device::Half>(kernels, plan);
      expect_within_budget<device::Bfloat16>(kernels, plan);
    }
  }
}

template <class T>
void expect_products(const std::map<std::string, std::map<std::string, int>>& kernels,
                     const AttentionPlan& plan) {
  EXPECT_TRUE(visit_attention<T>(plan, [&]<class Kernel>() {
    // The streamed kernel holds the work of a tile twice: with the mask and without.
    const int wanted = Kernel::kProducts * (plan.kind == AttentionKind::kStreamed ? 2 : 1);
    int found = 0;
    for (const auto& [kernel, counts] : kernels) {
      if (kernel.find(symbol_part<Kernel>()) == std::string::npos) continue;
      ++found;
      EXPECT_EQ(counts.contains("HMMA") ? counts.at("HMMA") : 0, wanted) << kernel;
      for (const char* name : {"LDSM", "LDGSTS", "MUFU"}) EXPECT_TRUE(counts.contains(name)) << kernel;
      for (const char* unwanted : {"LDL", "STL"}) EXPECT_FALSE(counts.contains(unwanted)) << kernel;
    }
    EXPECT_EQ(found, 1) << symbol_part<Kernel>();
  }));
}

TEST(Sass, AttentionUsesTensorCoresAndAsynchronousCopies) {
  for (const char* architecture : {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_120"}) {
    SCOPED_TRACE(architecture);
    const auto kernels = instructions(architecture);
    for (const AttentionPlan& plan : all_plans()) {
      expect_products<device::Half>(kernels, plan);
      expect_products<device::Bfloat16>(kernels, plan);
    }
  }
}

TEST(Sass, HopperAttentionUsesItsOwnInstructions) {
  constexpr int kThreads = 384;  // of a block, one a multiprocessor
  const AllResources all = resources();
  int seen = 0;
  for (const auto& [kernel, counts] : instructions("sm_90a")) {
    if (kernel.find("attention_hopper_kernel") == std::string::npos) continue;
    ++seen;
    // Products of a warp group, tiles copied by the copy engine, barriers that count its bytes, registers
    // that change hands.
    for (const char* wanted : {"HGMMA", "UTMALDG", "SYNCS", "USETMAXREG", "MUFU"})
      EXPECT_TRUE(counts.contains(wanted)) << wanted << " in " << kernel;
    for (const char* unwanted : {"HMMA", "LDL", "STL", "LDGSTS"})
      EXPECT_FALSE(counts.contains(unwanted)) << unwanted << " in " << kernel;
    EXPECT_LE(all.at("sm_90a").at(kernel).registers, 65536 / kThreads) << kernel;
  }
  EXPECT_EQ(seen, 10);
  for (const auto& [architecture, kernels] : all) {
    if (architecture == "sm_90a") continue;
    for (const auto& [kernel, used] : kernels)
      EXPECT_EQ(kernel.find("attention_hopper_kernel"), std::string::npos) << architecture;
  }
}

TEST(Sass, NormsReadSixteenBytesAtOnce) {
  int seen = 0;
  for (const auto& [kernel, counts] : instructions("sm_80", "LDG.E.128")) {
    const bool vectors = kernel.find("group_norm_first_pass") != std::string::npos &&
                         (kernel.find("4HalfELi8E") != std::string::npos ||
                          kernel.find("8Bfloat16ELi8E") != std::string::npos);
    if (!vectors) continue;
    ++seen;
    EXPECT_TRUE(counts.contains("LDG.E.128")) << kernel;
  }
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace brume::kernels

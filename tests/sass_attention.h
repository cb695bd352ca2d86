#pragma once
#include <set>
#include <string>
#include <typeinfo>
#include <vector>

#include "kernels/attention_hopper_instances.h"
#include "kernels/attention_instances.h"

// Which attention kernels there are, and what of a symbol names each.
namespace brume::kernels {

inline const std::set<std::string> kArchitectures = {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_120"};

/// Every plan there is, over many shapes and GPUs.
std::vector<AttentionPlan> all_plans();
std::vector<HopperAttentionPlan> all_hopper_plans();

inline bool is_hopper(const std::string& kernel) {
  return kernel.find("attention_hopper_kernel") != std::string::npos;
}

/// A part of the kernel's symbol: the mangled name of a class that it is made of, from `begin` on.
template <class Class>
std::string symbol_part(const char* begin) {
  const std::string name = typeid(Class).name();
  return name.substr(name.find(begin));
}
template <class Kernel>
std::string attention_part(const AttentionPlan& plan) {
  return symbol_part<Kernel>(plan.kind == AttentionKind::kStreamed ? "StreamedAttention"
                                                                   : "ResidentAttention");
}

}  // namespace brume::kernels

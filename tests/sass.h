#pragma once
#include <map>
#include <set>
#include <string>

// What cuobjdump reads in the libraries of our kernels.
namespace brume::kernels::sass {

/// Bytes and registers that ptxas reports of a kernel.
struct Resources {
  int registers;
  int stack;
  int shared;  // known at compile time
  int local;
};
/// By the kernel's symbol.
using Kernels = std::map<std::string, Resources>;
/// By architecture, of all libraries.
std::map<std::string, Kernels> resources();

/// How often each instruction stands in each kernel of an architecture, by its bare name; or `whole` alone,
/// an instruction with its modifiers.
using Counts = std::map<std::string, int>;
std::map<std::string, Counts> instructions(const std::string& architecture, const std::string& whole = "");

/// Architectures whose PTX every library holds.
std::set<std::string> ptx();

}  // namespace brume::kernels::sass

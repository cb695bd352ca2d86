#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

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

struct Instruction {
  std::string name;      // with its modifiers: "HMMA.16816.F32"; without the predicate
  std::string operands;  // "R4, R8, R12, RZ"
};
using Code = std::vector<Instruction>;
/// By the kernel's symbol.
std::map<std::string, Code> instructions(const std::string& architecture);

/// How many instructions of a name there are, whatever modifiers follow it, with `operand` among their
/// operands.
int count(const Code& code, const std::string& name, const std::string& operand = "");
bool is(const Instruction& instruction, const std::string& name);

/// Architectures whose PTX every library holds.
std::set<std::string> ptx();

}  // namespace brume::kernels::sass

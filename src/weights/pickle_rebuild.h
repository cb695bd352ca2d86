#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pickle_tree.h"

namespace brume {

/// Puts the values of a pickle together, for the machine that reads its opcodes. Every function fails with
/// the byte of the opcode where a value is not what it must be.
class PickleBuilder {
 public:
  /// Both must outlive it.
  PickleBuilder(PickleTree& tree, const std::string& where) : tree_(tree), where_(where) {}

  size_t at = 0;  // the byte of the opcode in hand

  [[noreturn]] void fail(const std::string& problem,
                         const std::string& remedy = "fetch the file again") const;
  /// For what no checkpoint needs and a malicious file may hold.
  [[noreturn]] void refuse(const std::string& what) const;
  /// Counts work against the limit on opcodes.
  void spend(size_t opcodes);

  uint32_t add(const PickleNode& node);
  uint32_t container(PickleKind kind, std::span<const uint32_t> children);
  /// Adds children to a container, which must be of `kind`.
  void extend(uint32_t container, PickleKind kind, std::span<const uint32_t> children);
  /// A storage, from what BINPERSID has: ("storage", type, key, device, elements).
  PickleNode storage(uint32_t id);
  PickleNode empty_set();
  /// What REDUCE, NEWOBJ and BUILD stand for.
  uint32_t reduce(uint32_t callee, uint32_t arguments);
  uint32_t object(uint32_t callee, uint32_t arguments);
  void build(uint32_t object, uint32_t state);

 private:
  const PickleNode& node(uint32_t index) const { return tree_.nodes[index]; }
  void link(uint32_t container, uint32_t child);
  /// The children of a tuple, which must have at most `most`.
  std::vector<uint32_t> items(uint32_t tuple, size_t most, const std::string& what) const;
  int64_t integer(uint32_t node, const std::string& what) const;
  uint32_t ordered_dict(const std::vector<uint32_t>& arguments);
  /// That of a tensor's numbers; `said` is the node of what it says itself.
  StoredType type_of(const PickleNode& storage, uint32_t said) const;
  uint32_t tensor(GlobalRole role, std::vector<uint32_t> arguments);
  uint32_t parameter(const std::vector<uint32_t>& arguments) const;
  uint32_t inert(uint8_t global, uint32_t arguments);

  PickleTree& tree_;
  const std::string& where_;
  size_t spent_ = 0;
};

}  // namespace brume

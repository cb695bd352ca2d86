#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/weights/safetensors.h"
#include "pickle_globals.h"

namespace brume {

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInteger,
  kHugeInteger,  // beyond 64 bits; its value is not kept
  kReal,
  kText,
  kTuple,
  kList,
  kDict,  // its children are key, value, key, value...
  kGlobal,
  kStorage,
  kTensor,
  kInert,  // an object that nothing is made of
};

/// A value of a pickle. Nodes refer to each other by index, so that a value that is named a thousand times is
/// held once.
struct PickleNode {
  PickleKind kind = PickleKind::kNone;
  uint8_t depth = 0;   // in containers, itself included, as far as its children were filled when it got them
  uint8_t global = 0;  // of kGlobal and kInert: a row of the table; of kDict: 1 if it is an OrderedDict
  uint32_t count = 0;  // of kText: bytes; of a container: children
  uint64_t value = 0;  // of numbers: their bits; of kText: its place; of others: an index
};

/// A storage as a pickle names it; nothing about it has been checked.
struct PickledStorage {
  uint32_t key;                     // a text: that of data/KEY
  std::optional<StoredType> dtype;  // nothing: bytes, whose tensors say what they are
  int64_t elements;
};

constexpr size_t kMaxPickledRank = 8;

/// A tensor as a pickle states it; nothing about its numbers has been checked.
struct PickledTensor {
  uint32_t storage;  // an index of storages
  StoredType dtype;
  int64_t offset;  // in elements
  size_t rank;
  std::array<int64_t, kMaxPickledRank> shape;
  std::array<int64_t, kMaxPickledRank> strides;
};

/// The values of a pickle: an arena of nodes. Everything is flat, so that nothing deep is ever walked by
/// recursion, not even at the end.
struct PickleTree {
  static constexpr uint32_t kNoLink = UINT32_MAX;

  /// A child of a container, and the next one.
  struct Link {
    uint32_t node;
    uint32_t next;
  };
  struct Chain {
    uint32_t first = kNoLink;
    uint32_t last = kNoLink;
  };

  uint32_t first_link(uint32_t container) const { return chains[nodes[container].value].first; }
  std::string_view text(uint32_t node) const {
    return std::string_view(bytes).substr(nodes[node].value, nodes[node].count);
  }

  std::string bytes;
  uint32_t root = 0;
  std::vector<PickleNode> nodes;
  std::vector<Chain> chains;
  std::vector<Link> links;
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;
  std::map<uint8_t, uint32_t> inert;  // the rows of the table that are inert and are named: how many objects
};

constexpr size_t kMaxPickleOpcodes = 1'000'000;
constexpr uint8_t kMaxPickleDepth = 64;
constexpr size_t kMaxPickledTensors = 65'536;

/// Reads the bytes of a pickle of protocol 2 as torch.save writes it. 34 opcodes and the names of
/// pickle_globals.h are known; any other throws kModelInvalid with its name and its place, as do a value
/// where it cannot be and whatever is beyond a limit. `where` is the file, for messages.
PickleTree read_pickle(std::string bytes, const std::string& where);

}  // namespace brume

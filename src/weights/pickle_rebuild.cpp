#include "pickle_rebuild.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace brume {

namespace {

constexpr size_t kMostArguments = 16;  // of any call that is known
constexpr size_t kTensorArguments = 4;
constexpr size_t kTypeArgument = 6;       // of version 3
constexpr uint32_t kUnsaid = UINT32_MAX;  // no node

}  // namespace

void PickleBuilder::fail(const std::string& problem, const std::string& remedy) const {
  throw Error(ExitCode::kModelInvalid, where_, "data.pkl, byte " + std::to_string(at) + ": " + problem,
              remedy);
}

void PickleBuilder::refuse(const std::string& what) const {
  throw Error(ExitCode::kModelInvalid, where_,
              "data.pkl, byte " + std::to_string(at) + ": " + what + " is not allowed in a checkpoint",
              "get the weights as .safetensors: in other readers such a file may run programs");
}

void PickleBuilder::spend(size_t opcodes) {
  spent_ += opcodes;
  if (spent_ > kMaxPickleOpcodes)
    fail("there are more opcodes than the limit of " + std::to_string(kMaxPickleOpcodes));
}

uint32_t PickleBuilder::add(const PickleNode& node) {
  tree_.nodes.push_back(node);
  return static_cast<uint32_t>(tree_.nodes.size() - 1);
}

uint32_t PickleBuilder::container(PickleKind kind, std::span<const uint32_t> children) {
  const uint32_t index = add({.kind = kind, .depth = 1, .value = tree_.chains.size()});
  tree_.chains.emplace_back();
  extend(index, kind, children);
  return index;
}

void PickleBuilder::link(uint32_t container, uint32_t child) {
  PickleNode& parent = tree_.nodes[container];
  PickleTree::Chain& chain = tree_.chains[parent.value];
  const auto link = static_cast<uint32_t>(tree_.links.size());
  tree_.links.push_back({child, PickleTree::kNoLink});
  (chain.first == PickleTree::kNoLink ? chain.first : tree_.links[chain.last].next) = link;
  chain.last = link;
  ++parent.count;
  const int depth = node(child).depth + 1;
  if (depth > kMaxPickleDepth)
    fail("values are nested deeper than the limit of " + std::to_string(kMaxPickleDepth));
  parent.depth = std::max(parent.depth, static_cast<uint8_t>(depth));
}

void PickleBuilder::extend(uint32_t container, PickleKind kind, std::span<const uint32_t> children) {
  if (node(container).kind != kind)
    fail(kind == PickleKind::kDict ? "an item is set in what is not a dict"
                                   : "a value is appended to what is not a list");
  if (kind == PickleKind::kDict && children.size() % 2 != 0) fail("a key has no value");
  for (size_t i = 0; kind == PickleKind::kDict && i < children.size(); i += 2) {
    const PickleKind key = node(children[i]).kind;
    if (key == PickleKind::kList || key == PickleKind::kDict) fail("a key is a list or a dict");
  }
  for (const uint32_t child : children) link(container, child);
}

std::vector<uint32_t> PickleBuilder::items(uint32_t tuple, size_t most, const std::string& what) const {
  if (node(tuple).kind != PickleKind::kTuple) fail(what + " is not a tuple");
  if (node(tuple).count > most)
    fail(what + " has " + std::to_string(node(tuple).count) + " values, more than the limit of " +
         std::to_string(most));
  std::vector<uint32_t> values;
  values.reserve(node(tuple).count);
  for (uint32_t i = tree_.first_link(tuple); i != PickleTree::kNoLink; i = tree_.links[i].next)
    values.push_back(tree_.links[i].node);
  return values;
}

int64_t PickleBuilder::integer(uint32_t index, const std::string& what) const {
  if (node(index).kind != PickleKind::kInteger) fail(what + " is not an integer of 64 bits");
  return static_cast<int64_t>(node(index).value);
}

PickleNode PickleBuilder::storage(uint32_t id) {
  const std::vector<uint32_t> values = items(id, kMostArguments, "a persistent id");
  auto is = [&](size_t i, PickleKind kind) { return node(values[i]).kind == kind; };
  const bool formed = values.size() == 5 && is(0, PickleKind::kText) && tree_.text(values[0]) == "storage" &&
                      is(1, PickleKind::kGlobal) && is(2, PickleKind::kText) && is(3, PickleKind::kText);
  if (!formed) fail(R"(a persistent id is not ("storage", type, key, device, elements))");
  const PickleGlobal& type = pickle_global(node(values[1]).global);
  std::optional<StoredType> dtype;
  if (type.role == GlobalRole::kStorage) {
    dtype = type.dtype;
  } else if (type.role != GlobalRole::kUntypedStorage) {
    fail(pickle_global_name(node(values[1]).global) + " is not the type of a storage");
  }
  tree_.storages.push_back({values[2], dtype, integer(values[4], "the size of a storage")});
  return {.kind = PickleKind::kStorage, .value = tree_.storages.size() - 1};
}

PickleNode PickleBuilder::empty_set() {
  const uint8_t set = find_pickle_global("builtins", "set").value();
  ++tree_.inert[set];
  return {.kind = PickleKind::kInert, .global = set};
}

uint32_t PickleBuilder::ordered_dict(const std::vector<uint32_t>& arguments) {
  const uint32_t dict = container(PickleKind::kDict, {});
  tree_.nodes[dict].global = 1;
  if (arguments.empty()) return dict;
  // Python 2 wrote OrderedDict([[key, value], ...]).
  if (arguments.size() != 1 || node(arguments[0]).kind != PickleKind::kList)
    fail("OrderedDict is called with other than a list of pairs");
  spend(node(arguments[0]).count);
  for (uint32_t i = tree_.first_link(arguments[0]); i != PickleTree::kNoLink; i = tree_.links[i].next) {
    const uint32_t pair = tree_.links[i].node;
    const bool two = (node(pair).kind == PickleKind::kList || node(pair).kind == PickleKind::kTuple) &&
                     node(pair).count == 2;
    if (!two) fail("OrderedDict is called with other than a list of pairs");
    const PickleTree::Link key = tree_.links[tree_.first_link(pair)];
    extend(dict, PickleKind::kDict, std::array{key.node, tree_.links[key.next].node});
  }
  return dict;
}

StoredType PickleBuilder::type_of(const PickleNode& storage, uint32_t said) const {
  if (storage.kind != PickleKind::kStorage) fail("a tensor is not made of a storage");
  const std::optional<StoredType> own = tree_.storages[storage.value].dtype;
  if (said == kUnsaid) {
    if (!own) fail("a tensor of a storage without a type says none");
    return *own;
  }
  if (own) fail("a tensor of a storage with a type says one");
  const PickleNode& type = node(said);
  if (type.kind != PickleKind::kGlobal || pickle_global(type.global).role != GlobalRole::kType)
    fail("a tensor's type is none");
  return pickle_global(type.global).dtype;
}

uint32_t PickleBuilder::tensor(GlobalRole role, std::vector<uint32_t> arguments) {
  uint32_t type = kUnsaid;
  if (role == GlobalRole::kTensorV3 && arguments.size() > kTypeArgument) {
    type = arguments[kTypeArgument];
    arguments.erase(arguments.begin() + kTypeArgument);
  } else if (role == GlobalRole::kTensorV3) {
    fail("a tensor is made of " + std::to_string(arguments.size()) + " values");
  }
  // Version 2 adds requires_grad, hooks and, later, metadata, which say nothing about the numbers unless the
  // last one is filled: it then makes them negative or conjugate.
  const size_t extra = arguments.size() - std::min(arguments.size(), kTensorArguments);
  const bool right = role == GlobalRole::kTensor ? extra == 0 : extra == 2 || extra == 3;
  if (arguments.size() < kTensorArguments || !right)
    fail("a tensor is made of " + std::to_string(arguments.size()) + " values");
  const PickleNode& last = node(arguments.back());
  if (extra == 3 && last.kind != PickleKind::kNone && (last.kind != PickleKind::kDict || last.count != 0))
    fail("a tensor with metadata of its own is not supported",
         "save it again after .resolve_conj() and .resolve_neg()");
  const StoredType dtype = type_of(node(arguments[0]), type);
  if (extra > 0 && node(arguments[4]).kind != PickleKind::kBool) fail("requires_grad is not a bool");
  if (tree_.tensors.size() == kMaxPickledTensors)
    fail("there are more tensors than the limit of " + std::to_string(kMaxPickledTensors));
  const std::vector<uint32_t> shape = items(arguments[2], kMaxPickledRank, "a tensor's shape");
  const std::vector<uint32_t> strides = items(arguments[3], kMaxPickledRank, "a tensor's strides");
  if (shape.size() != strides.size()) fail("a tensor's shape and strides are not of one length");
  PickledTensor made{.storage = static_cast<uint32_t>(node(arguments[0]).value),
                     .dtype = dtype,
                     .offset = integer(arguments[1], "a tensor's offset"),
                     .rank = shape.size(),
                     .shape = {},
                     .strides = {}};
  for (size_t i = 0; i < shape.size(); ++i) {
    made.shape.at(i) = integer(shape[i], "a dimension");
    made.strides.at(i) = integer(strides[i], "a stride");
  }
  tree_.tensors.push_back(made);
  return add({.kind = PickleKind::kTensor, .value = tree_.tensors.size() - 1});
}

uint32_t PickleBuilder::parameter(const std::vector<uint32_t>& arguments) const {
  if (arguments.size() != 3 || node(arguments[0]).kind != PickleKind::kTensor)
    fail("a parameter is not made of a tensor and two more values");
  if (node(arguments[1]).kind != PickleKind::kBool) fail("requires_grad is not a bool");
  return arguments[0];
}

uint32_t PickleBuilder::inert(uint8_t global, uint32_t arguments) {
  ++tree_.inert[global];
  if (node(arguments).depth == kMaxPickleDepth)
    fail("values are nested deeper than the limit of " + std::to_string(kMaxPickleDepth));
  return add({.kind = PickleKind::kInert,
              .depth = static_cast<uint8_t>(node(arguments).depth + 1),
              .global = global});
}

uint32_t PickleBuilder::reduce(uint32_t callee, uint32_t arguments) {
  if (node(callee).kind != PickleKind::kGlobal) fail("what is called is not a global");
  const uint8_t global = node(callee).global;
  const std::string name = pickle_global_name(global);
  const std::vector<uint32_t> values = items(arguments, kMostArguments, "what " + name + " is called with");
  switch (const GlobalRole role = pickle_global(global).role) {
    case GlobalRole::kOrderedDict:
      return ordered_dict(values);
    case GlobalRole::kTensor:
    case GlobalRole::kTensorV2:
    case GlobalRole::kTensorV3:
      return tensor(role, values);
    case GlobalRole::kParameter:
      return parameter(values);
    case GlobalRole::kSize:
      if (values.size() != 1 || node(values[0]).kind != PickleKind::kTuple)
        fail("torch.Size is called with other than a tuple");
      return values[0];
    case GlobalRole::kInert:
      return inert(global, arguments);
    case GlobalRole::kStorage:
    case GlobalRole::kUntypedStorage:
    case GlobalRole::kType:
      break;
  }
  fail(name + " cannot be called");
}

uint32_t PickleBuilder::object(uint32_t callee, uint32_t arguments) {
  if (node(callee).kind != PickleKind::kGlobal) fail("the class of a new object is not a global");
  const uint8_t global = node(callee).global;
  const GlobalRole role = pickle_global(global).role;
  if (role != GlobalRole::kOrderedDict && role != GlobalRole::kInert)
    fail(pickle_global_name(global) + " is not the class of an object");
  const std::vector<uint32_t> values = items(arguments, kMostArguments, "what an object is made of");
  if (role == GlobalRole::kInert) return inert(global, arguments);
  if (!values.empty()) fail("a new OrderedDict is not empty");
  return ordered_dict({});
}

void PickleBuilder::build(uint32_t object, uint32_t state) {
  const bool ordered = node(object).kind == PickleKind::kDict && node(object).global == 1;
  // An OrderedDict's attributes, such as the _metadata of a state dict, are no items of it.
  if (ordered && node(state).kind == PickleKind::kDict) return;
  if (node(object).kind != PickleKind::kInert) fail("BUILD sets the state of what has none");
}

}  // namespace brume

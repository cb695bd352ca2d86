#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "pickle_opcodes.h"
#include "pickle_rebuild.h"
#include "pickle_stack.h"
#include "pickle_tree.h"

namespace brume {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr size_t kMaxLong = 16;     // bytes of a LONG1
constexpr size_t kMaxGlobal = 256;  // bytes of a module or a name
constexpr uint8_t kProtocol = 2;
constexpr uint32_t kUnset = UINT32_MAX;

class PickleMachine {
 public:
  PickleMachine(std::string bytes, const std::string& where) : builder_(tree_, where) {
    tree_.bytes = std::move(bytes);
    const size_t most = std::min(tree_.bytes.size(), kMaxPickleOpcodes);
    tree_.nodes.reserve(most);
    tree_.links.reserve(most);
  }

  PickleTree run() {
    do {
      builder_.at = next_;
      builder_.spend(1);
    } while (step(take<uint8_t>()));
    return std::move(tree_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { builder_.fail(problem); }

  std::string_view take_bytes(size_t count) {
    if (count > tree_.bytes.size() - next_) fail("the pickle ends early");
    next_ += count;
    return std::string_view(tree_.bytes).substr(next_ - count, count);
  }
  template <class Number>
  Number take() {
    Number number{};
    std::memcpy(&number, take_bytes(sizeof number).data(), sizeof number);
    return number;
  }

  void push(uint32_t node) { stack_.push(node); }
  void push(PickleNode node) { push(builder_.add(node)); }

  bool step(uint8_t opcode);
  bool value(uint8_t opcode);
  bool text(uint8_t opcode);
  bool tuple(uint8_t opcode);
  bool fill(uint8_t opcode);
  bool memo(uint8_t opcode);
  bool object(uint8_t opcode);
  void start();
  void stop();
  void global();
  void small_tuple(size_t count);
  void put(uint32_t index);
  void get(uint32_t index);
  PickleNode long_integer();
  PickleNode text_node(size_t count);

  PickleTree tree_;
  PickleBuilder builder_;
  size_t next_ = 0;
  PickleStack stack_{builder_};
  std::vector<uint32_t> memo_;
};

bool PickleMachine::step(uint8_t opcode) {
  if ((builder_.at == 0) != (opcode == kProto))
    fail(builder_.at == 0 ? "the pickle does not begin with PROTO" : "a second PROTO");
  if (opcode == kProto) {
    start();
  } else if (opcode == kStop) {
    stop();
    return false;
  } else if (!value(opcode) && !text(opcode) && !tuple(opcode) && !fill(opcode) && !memo(opcode) &&
             !object(opcode)) {
    builder_.refuse("the opcode " + pickle_opcode_name(opcode));
  }
  return true;
}

void PickleMachine::start() {
  const auto protocol = take<uint8_t>();
  if (protocol != kProtocol)
    builder_.fail("pickle protocol " + std::to_string(protocol) + " is not read",
                  "save it again by torch.save with pickle_protocol=2, its default");
}

void PickleMachine::stop() {
  if (stack_.values() != 1 || stack_.marks() != 0)
    fail("STOP leaves " + std::to_string(stack_.values()) + " values and " + std::to_string(stack_.marks()) +
         " marks, not one value");
  if (next_ != tree_.bytes.size()) fail(std::to_string(tree_.bytes.size() - next_) + " bytes follow STOP");
  tree_.root = stack_.top(1).front();
}

PickleNode PickleMachine::long_integer() {
  const size_t count = take<uint8_t>();
  if (count > kMaxLong)
    fail("LONG1 has " + std::to_string(count) + " bytes, more than the limit of " + std::to_string(kMaxLong));
  const std::string_view bytes = take_bytes(count);
  const bool negative = count > 0 && static_cast<uint8_t>(bytes.back()) >= 0x80;
  const uint8_t sign = negative ? 0xFF : 0;
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof number; ++i)
    number |= uint64_t{i < count ? static_cast<uint8_t>(bytes[i]) : sign} << (8 * i);
  const bool beyond = std::any_of(bytes.begin() + std::min(count, sizeof number), bytes.end(),
                                  [&](char byte) { return static_cast<uint8_t>(byte) != sign; });
  const bool other_sign = (number >> 63U != 0) != negative;
  if (beyond || other_sign) return {.kind = PickleKind::kHugeInteger};
  return {.kind = PickleKind::kInteger, .value = number};
}

bool PickleMachine::value(uint8_t opcode) {
  auto integer = [this](int64_t number) {
    push({.kind = PickleKind::kInteger, .value = static_cast<uint64_t>(number)});
  };
  switch (opcode) {
    case kNone:
      push(PickleNode{});
      return true;
    case kNewTrue:
    case kNewFalse:
      push({.kind = PickleKind::kBool, .value = opcode == kNewTrue ? 1U : 0U});
      return true;
    case kBinInt:
      integer(take<int32_t>());
      return true;
    case kBinInt1:
      integer(take<uint8_t>());
      return true;
    case kBinInt2:
      integer(take<uint16_t>());
      return true;
    case kLong1:
      push(long_integer());
      return true;
    case kBinFloat:
      // The only number that is written most significant byte first.
      push({.kind = PickleKind::kReal, .value = __builtin_bswap64(take<uint64_t>())});
      return true;
    default:
      return false;
  }
}

PickleNode PickleMachine::text_node(size_t count) {
  const size_t begin = next_;
  take_bytes(count);
  return {.kind = PickleKind::kText, .count = static_cast<uint32_t>(count), .value = begin};
}

bool PickleMachine::text(uint8_t opcode) {
  if (opcode == kBinUnicode) {
    const auto count = take<uint32_t>();
    push(text_node(count));
  } else if (opcode == kShortBinString) {
    const auto count = take<uint8_t>();
    push(text_node(count));
  } else {
    return false;
  }
  return true;
}

void PickleMachine::small_tuple(size_t count) {
  const uint32_t tuple = builder_.container(PickleKind::kTuple, stack_.top(count));
  stack_.drop(count);
  push(tuple);
}

bool PickleMachine::tuple(uint8_t opcode) {
  switch (opcode) {
    case kMark:
      stack_.mark();
      return true;
    case kEmptyTuple:
      push(builder_.container(PickleKind::kTuple, {}));
      return true;
    case kTuple1:
      small_tuple(1);
      return true;
    case kTuple2:
      small_tuple(2);
      return true;
    case kTuple3:
      small_tuple(3);
      return true;
    case kTuple: {
      const uint32_t tuple = builder_.container(PickleKind::kTuple, stack_.above_mark());
      stack_.drop_mark();
      push(tuple);
      return true;
    }
    default:
      return false;
  }
}

/// Lists and dicts, and what goes into them.
bool PickleMachine::fill(uint8_t opcode) {
  auto into = [this](size_t count, PickleKind kind) {
    const std::span<const uint32_t> values = stack_.top(count + 1);
    builder_.extend(values.front(), kind, values.subspan(1));
    stack_.drop(count);
  };
  auto marked_into = [this](PickleKind kind) {
    builder_.extend(stack_.below_mark(), kind, stack_.above_mark());
    stack_.drop_mark();
  };
  switch (opcode) {
    case kEmptyList:
      push(builder_.container(PickleKind::kList, {}));
      return true;
    case kEmptyDict:
      push(builder_.container(PickleKind::kDict, {}));
      return true;
    case kAppend:
      into(1, PickleKind::kList);
      return true;
    case kAppends:
      marked_into(PickleKind::kList);
      return true;
    case kSetItem:
      into(2, PickleKind::kDict);
      return true;
    case kSetItems:
      marked_into(PickleKind::kDict);
      return true;
    default:
      return false;
  }
}

void PickleMachine::put(uint32_t index) {
  if (index > kMaxPickleOpcodes)
    fail("the memo index " + std::to_string(index) + " is more than the limit of " +
         std::to_string(kMaxPickleOpcodes));
  const uint32_t node = stack_.top(1).front();
  if (index >= memo_.size()) memo_.resize(index + 1, kUnset);
  memo_[index] = node;
}

void PickleMachine::get(uint32_t index) {
  if (index >= memo_.size() || memo_[index] == kUnset) fail("the memo has no entry " + std::to_string(index));
  push(memo_[index]);
}

bool PickleMachine::memo(uint8_t opcode) {
  switch (opcode) {
    case kBinPut:
      put(take<uint8_t>());
      return true;
    case kLongBinPut:
      put(take<uint32_t>());
      return true;
    case kBinGet:
      get(take<uint8_t>());
      return true;
    case kLongBinGet:
      get(take<uint32_t>());
      return true;
    default:
      return false;
  }
}

void PickleMachine::global() {
  auto line = [this] {
    const size_t end = tree_.bytes.find('\n', next_);
    if (end == std::string::npos) fail("the pickle ends early");
    const std::string_view text = take_bytes(end - next_);
    take_bytes(1);
    if (text.size() > kMaxGlobal)
      fail("a global name is longer than the limit of " + std::to_string(kMaxGlobal) + " bytes");
    return text;
  };
  const std::string_view module = line();
  const std::string_view name = line();
  const std::optional<uint8_t> index = find_pickle_global(module, name);
  if (!index) builder_.refuse("the global " + std::string(module) + "." + std::string(name));
  if (pickle_global(*index).role == GlobalRole::kInert) tree_.inert.try_emplace(*index, 0);
  push({.kind = PickleKind::kGlobal, .global = *index});
}

/// What another reader would run code for.
bool PickleMachine::object(uint8_t opcode) {
  switch (opcode) {
    case kGlobal:
      global();
      return true;
    case kEmptySet:
      push(builder_.empty_set());
      return true;
    case kBinPersid:
      push(builder_.storage(stack_.pop()));
      return true;
    case kReduce:
    case kNewObj: {
      const std::span<const uint32_t> pair = stack_.top(2);
      const uint32_t made =
          opcode == kReduce ? builder_.reduce(pair[0], pair[1]) : builder_.object(pair[0], pair[1]);
      stack_.drop(2);
      push(made);
      return true;
    }
    case kBuild: {
      const std::span<const uint32_t> pair = stack_.top(2);
      builder_.build(pair[0], pair[1]);
      stack_.drop(1);
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

PickleTree read_pickle(std::string bytes, const std::string& where) {
  return PickleMachine(std::move(bytes), where).run();
}

}  // namespace brume

#include "pickled_tensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "brume/base/escape.h"
#include "brume/base/shortest_number.h"

namespace brume {

namespace {

constexpr size_t kMaxName = 1'024;
constexpr size_t kMaxShown = 120;     // bytes of a name in a message
constexpr size_t kMaxSettings = 256;  // numbers and texts at the top
constexpr std::string_view kModel = "state_dict";

/// Printable and whole: what a name or a text of the metadata must be.
bool clean(std::string_view text) { return text.find('\0') == std::string_view::npos && is_utf8(text); }

/// The integer that a key equals, as Python compares: 1, 1.0 and True are one key.
std::optional<int64_t> integer_key(const PickleNode& key) {
  if (key.kind == PickleKind::kInteger || key.kind == PickleKind::kBool)
    return static_cast<int64_t>(key.value);
  if (key.kind != PickleKind::kReal) return std::nullopt;
  constexpr double kLimit = 0x1p62;
  const auto real = std::bit_cast<double>(key.value);
  if (!(std::abs(real) < kLimit) || real != std::trunc(real)) return std::nullopt;
  return static_cast<int64_t>(real);
}

/// Walks the dicts and lists of a pickle without recursion. One path is held, and each container is entered
/// once, however many names it has.
class TensorWalk {
 public:
  TensorWalk(const PickleTree& tree, const std::map<std::string, ZipEntry>& storages,
             const std::string& where)
      : tree_(tree),
        storages_(storages),
        where_(where),
        entered_(tree.nodes.size(), false),
        found_(tree.tensors.size(), false) {}

  PickledTensors run();

 private:
  /// A container whose children are being visited.
  struct Frame {
    uint32_t link;   // of the next child
    uint64_t index;  // of the next child, in a list
    bool dict;
    size_t path_size;  // of the container's own path
  };

  [[noreturn]] void reject(const std::string& problem) const {
    throw Error(ExitCode::kModelInvalid, where_, problem, "fetch the file again");
  }
  const PickleNode& node(uint32_t index) const { return tree_.nodes[index]; }
  std::optional<uint32_t> model() const;
  void walk(uint32_t container);
  void enter(uint32_t container);
  void step();
  bool append_key(uint32_t key);
  void append(std::string_view part);
  void add_tensor(const PickleNode& tensor);
  void check_keys(uint32_t dict) const;
  void add_settings();
  std::optional<std::string> setting(uint32_t value) const;
  void warn();

  const PickleTree& tree_;
  const std::map<std::string, ZipEntry>& storages_;
  const std::string& where_;
  PickledTensors out_;
  std::vector<Frame> frames_;
  std::string path_;
  std::vector<bool> entered_;  // containers
  std::vector<bool> found_;    // tensors that have a name
  std::set<std::string> names_;
};

/// The values of the dict's key "state_dict", if it is a dict.
std::optional<uint32_t> TensorWalk::model() const {
  for (uint32_t i = tree_.first_link(tree_.root); i != PickleTree::kNoLink;) {
    const PickleTree::Link key = tree_.links[i];
    const PickleTree::Link value = tree_.links[key.next];
    if (node(key.node).kind == PickleKind::kText && tree_.text(key.node) == kModel &&
        node(value.node).kind == PickleKind::kDict)
      return value.node;
    i = value.next;
  }
  return std::nullopt;
}

/// A key that is there twice would mean one thing to this reader and another to the next.
void TensorWalk::check_keys(uint32_t dict) const {
  std::vector<std::string_view> texts;
  std::vector<int64_t> integers;
  for (uint32_t i = tree_.first_link(dict); i != PickleTree::kNoLink;) {
    const PickleTree::Link key = tree_.links[i];
    if (node(key.node).kind == PickleKind::kText) texts.push_back(tree_.text(key.node));
    if (const std::optional<int64_t> integer = integer_key(node(key.node))) integers.push_back(*integer);
    i = tree_.links[key.next].next;
  }
  std::sort(texts.begin(), texts.end());
  std::sort(integers.begin(), integers.end());
  const auto text = std::adjacent_find(texts.begin(), texts.end());
  const auto integer = std::adjacent_find(integers.begin(), integers.end());
  if (text != texts.end())
    reject("data.pkl: duplicate key \"" + std::string(text->substr(0, kMaxShown)) + "\"");
  if (integer != integers.end()) reject("data.pkl: duplicate key " + std::to_string(*integer));
}

void TensorWalk::enter(uint32_t container) {
  if (entered_[container]) return;
  entered_[container] = true;
  // The machine bounds the depth too, but a container may be filled after it was put into another.
  if (frames_.size() == kMaxPickleDepth)
    reject("data.pkl: values are nested deeper than the limit of " + std::to_string(kMaxPickleDepth));
  const bool dict = node(container).kind == PickleKind::kDict;
  if (dict) check_keys(container);
  frames_.push_back({tree_.first_link(container), 0, dict, path_.size()});
}

void TensorWalk::append(std::string_view part) {
  if (!path_.empty()) path_ += '.';
  path_ += part.substr(0, kMaxName + 1);  // enough to be too long, should a tensor be there
}

/// False if the key is none that a name can be made of.
bool TensorWalk::append_key(uint32_t key) {
  if (node(key).kind == PickleKind::kText) {
    append(tree_.text(key));
  } else if (node(key).kind == PickleKind::kInteger) {
    append(std::to_string(static_cast<int64_t>(node(key).value)));
  } else if (node(key).kind == PickleKind::kGlobal) {
    append(pickle_global_name(node(key).global));
  } else {
    return false;
  }
  return true;
}

void TensorWalk::add_tensor(const PickleNode& tensor) {
  const std::string shown = "\"" + path_.substr(0, kMaxShown) + (path_.size() > kMaxShown ? "...\"" : "\"");
  if (path_.size() > kMaxName)
    reject("data.pkl: the name " + shown + " is longer than the limit of " + std::to_string(kMaxName) +
           " bytes");
  if (!clean(path_)) reject("data.pkl: the name " + shown + " holds a NUL byte or is not UTF-8");
  if (!names_.insert(path_).second) reject("data.pkl: two tensors are named " + shown);
  if (names_.size() > kMaxPickledTensors)
    reject("data.pkl: there are more tensors than the limit of " + std::to_string(kMaxPickledTensors));
  found_[tensor.value] = true;
  PlacedTensor placed = place_tensor(tree_, tree_.tensors[tensor.value], path_, storages_, where_);
  if (!placed.strides.empty()) out_.strides.emplace(path_, std::move(placed.strides));
  out_.header.tensors.push_back(std::move(placed.stored));
}

/// Visits the next child of the innermost container.
void TensorWalk::step() {
  Frame& frame = frames_.back();
  path_.resize(frame.path_size);
  if (frame.link == PickleTree::kNoLink) {
    frames_.pop_back();
    return;
  }
  const PickleTree::Link key = tree_.links[frame.link];
  const PickleTree::Link value = frame.dict ? tree_.links[key.next] : key;
  frame.link = value.next;
  const uint64_t index = frame.index++;
  const PickleNode& child = node(value.node);
  const bool container =
      child.kind == PickleKind::kDict || child.kind == PickleKind::kList || child.kind == PickleKind::kTuple;
  if (!container && child.kind != PickleKind::kTensor) return;
  if (!frame.dict) {
    append(std::to_string(index));
  } else if (!append_key(key.node)) {
    return;
  }
  if (container) {
    enter(value.node);
  } else {
    add_tensor(child);
  }
}

void TensorWalk::walk(uint32_t container) {
  path_.clear();
  enter(container);
  while (!frames_.empty()) step();
}

std::optional<std::string> TensorWalk::setting(uint32_t value) const {
  const PickleNode& one = node(value);
  switch (one.kind) {
    case PickleKind::kBool:
      return one.value != 0 ? "true" : "false";
    case PickleKind::kInteger:
      return std::to_string(static_cast<int64_t>(one.value));
    case PickleKind::kReal:
      return shortest_number(std::bit_cast<double>(one.value));
    case PickleKind::kText:
      return clean(tree_.text(value)) ? std::optional<std::string>(tree_.text(value)) : std::nullopt;
    default:
      return std::nullopt;
  }
}

void TensorWalk::add_settings() {
  for (uint32_t i = tree_.first_link(tree_.root); i != PickleTree::kNoLink;) {
    const PickleTree::Link key = tree_.links[i];
    const PickleTree::Link value = tree_.links[key.next];
    i = value.next;
    const bool named = node(key.node).kind == PickleKind::kText && node(key.node).count <= kMaxName &&
                       clean(tree_.text(key.node));
    std::optional<std::string> text = named ? setting(value.node) : std::nullopt;
    if (!text) continue;
    if (out_.header.metadata.size() == kMaxSettings) {
      out_.header.warnings.push_back("more than " + std::to_string(kMaxSettings) +
                                     " settings: the others are not listed");
      return;
    }
    out_.header.metadata.emplace(tree_.text(key.node), std::move(*text));
  }
}

void TensorWalk::warn() {
  for (const auto& [global, objects] : tree_.inert) {
    const std::string count = " (" + std::to_string(objects) + (objects == 1 ? " object)" : " objects)");
    out_.header.warnings.push_back(pickle_global_name(global) + ": not read" + (objects > 0 ? count : ""));
  }
  const auto unnamed = static_cast<size_t>(std::count(found_.begin(), found_.end(), false));
  if (unnamed > 0)
    out_.header.warnings.push_back(std::to_string(unnamed) +
                                   " tensors have no name, inside of what is not read: not listed");
}

PickledTensors TensorWalk::run() {
  if (node(tree_.root).kind != PickleKind::kDict)
    throw Error(ExitCode::kModelInvalid, where_, "data.pkl holds no dict of tensors",
                "save a state dict: torch.save(model.state_dict(), FILE)");
  if (const std::optional<uint32_t> found = model()) walk(*found);
  walk(tree_.root);
  add_settings();
  warn();
  std::sort(out_.header.tensors.begin(), out_.header.tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  return std::move(out_);
}

}  // namespace

PickledTensors name_tensors(const PickleTree& tree, const std::map<std::string, ZipEntry>& storages,
                            const std::string& where) {
  return TensorWalk(tree, storages, where).run();
}

}  // namespace brume

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "brume/base/checked.h"
#include "pickled_tensors.h"

namespace brume {

namespace {

constexpr size_t kMaxShown = 120;  // bytes of a name in a message

std::string numbers_text(std::span<const uint64_t> numbers) {
  std::string text = "[";
  for (const uint64_t number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
  return text + "]";
}

uint64_t bytes_of(StoredType type) { return static_cast<uint64_t>(stored_type_bits(type) / 8); }

/// Elements from the first to the last of a tensor without a zero in its shape; nothing if that overflows.
std::optional<uint64_t> extent_of(std::span<const uint64_t> shape, std::span<const uint64_t> strides) {
  std::optional<uint64_t> extent = 1;
  for (size_t i = 0; i < shape.size() && extent; ++i) {
    const std::optional<uint64_t> reach = checked_multiply(shape[i] - 1, strides[i]);
    extent = reach ? checked_add(*extent, *reach) : std::nullopt;
  }
  return extent;
}

bool in_c_order(std::span<const uint64_t> shape, std::span<const uint64_t> strides) {
  uint64_t due = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 1) continue;
    if (strides[i] != due) return false;
    due *= shape[i];  // no more than the extent, which has not overflown
  }
  return true;
}

/// Sufficient, and true of every tensor that is a permuted or narrowed view of one in C order: each stride
/// steps over all that the smaller ones reach.
bool elements_differ(std::span<const uint64_t> shape, std::span<const uint64_t> strides) {
  std::vector<std::pair<uint64_t, uint64_t>> steps;  // stride, size
  steps.reserve(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) steps.emplace_back(strides[i], shape[i]);
  }
  std::sort(steps.begin(), steps.end());
  uint64_t reached = 0;
  for (const auto& [stride, size] : steps) {
    if (stride <= reached) return false;
    reached += stride * (size - 1);  // within the extent
  }
  return true;
}

class Placer {
 public:
  Placer(const PickleTree& tree, const PickledTensor& tensor, const std::string& name,
         const std::string& where)
      : tree_(tree), tensor_(tensor), name_(name), where_(where) {}

  PlacedTensor place(const std::map<std::string, ZipEntry>& storages) const;

 private:
  [[noreturn]] void reject(const std::string& problem,
                           const std::string& remedy = "fetch the file again") const {
    const std::string shown = name_.substr(0, kMaxShown) + (name_.size() > kMaxShown ? "..." : "");
    throw Error(ExitCode::kModelInvalid, where_, "tensor \"" + shown + "\": " + problem, remedy);
  }
  std::vector<uint64_t> natural(std::span<const int64_t> numbers, const std::string& what) const {
    std::vector<uint64_t> out;
    out.reserve(numbers.size());
    for (const int64_t number : numbers) {
      if (number < 0) reject(what + " " + std::to_string(number) + " is negative");
      out.push_back(static_cast<uint64_t>(number));
    }
    return out;
  }
  const ZipEntry& entry(const std::map<std::string, ZipEntry>& storages) const;

  const PickleTree& tree_;
  const PickledTensor& tensor_;
  const std::string& name_;
  const std::string& where_;
};

/// The storage's bytes, which must be as many as it says.
const ZipEntry& Placer::entry(const std::map<std::string, ZipEntry>& storages) const {
  const PickledStorage& storage = tree_.storages[tensor_.storage];
  const std::string key(tree_.text(storage.key).substr(0, kMaxShown));
  const auto found = storages.find(key);
  if (found == storages.end()) reject("its storage data/" + key + " is not in the archive");
  const uint64_t item = bytes_of(storage.dtype.value_or(StoredType::kU8));
  const bool holds = storage.elements >= 0 &&
                     checked_multiply(static_cast<uint64_t>(storage.elements), item) == found->second.size;
  if (!holds)
    reject("its storage data/" + key + " is to hold " + std::to_string(storage.elements) + " elements of " +
           std::to_string(item) + " bytes, and has " + std::to_string(found->second.size) + " bytes");
  return found->second;
}

PlacedTensor Placer::place(const std::map<std::string, ZipEntry>& storages) const {
  const ZipEntry& bytes = entry(storages);
  const std::vector<uint64_t> shape = natural(std::span(tensor_.shape).first(tensor_.rank), "the dimension");
  std::vector<uint64_t> strides = natural(std::span(tensor_.strides).first(tensor_.rank), "the stride");
  const uint64_t offset = natural(std::span(&tensor_.offset, 1), "the offset").front();
  const uint64_t item = bytes_of(tensor_.dtype);
  const uint64_t elements = bytes.size / item;
  PlacedTensor placed{
      {.name = name_, .dtype = tensor_.dtype, .shape = shape, .begin = bytes.begin, .end = bytes.begin}, {}};
  if (std::find(shape.begin(), shape.end(), 0U) != shape.end()) return placed;  // no element to be anywhere
  const std::optional<uint64_t> extent = extent_of(shape, strides);
  const uint64_t last = extent ? checked_add(*extent, offset).value_or(UINT64_MAX) : UINT64_MAX;
  if (last > elements)
    reject("shape " + numbers_text(shape) + " with strides " + numbers_text(strides) + " from element " +
           std::to_string(offset) + " goes beyond its storage of " + std::to_string(elements) + " elements");
  if (!elements_differ(shape, strides))
    reject("its elements overlap: shape " + numbers_text(shape) + ", strides " + numbers_text(strides),
           "save it again after .contiguous()");
  uint64_t count = 1;
  for (const uint64_t size : shape)
    count *= size;  // at most the extent, since no two elements are in one place
  placed.stored.begin = bytes.begin + offset * item;
  placed.stored.end = placed.stored.begin + count * item;
  if (in_c_order(shape, strides)) return placed;
  if (*extent * item > kMaxStridedBytes)
    reject("does not lie in C order and takes " + std::to_string(*extent * item) +
               " bytes, more than the limit of " + std::to_string(kMaxStridedBytes),
           "save it again after .contiguous()");
  placed.strides = std::move(strides);
  return placed;
}

}  // namespace

PlacedTensor place_tensor(const PickleTree& tree, const PickledTensor& tensor, const std::string& name,
                          const std::map<std::string, ZipEntry>& storages, const std::string& where) {
  return Placer(tree, tensor, name, where).place(storages);
}

}  // namespace brume

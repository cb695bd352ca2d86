#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace brume {

/// Gives out parts of the range 0 .. size and takes them back: the smallest free part that fits, the lowest
/// of equals; neighbours that are free are one. It knows numbers only, whatever they count.
class RangeHeap {
 public:
  struct Part {
    uint64_t first;
    uint64_t size;
    bool operator==(const Part&) const = default;
  };

  explicit RangeHeap(uint64_t size);
  /// Where a part of `size` > 0 begins; nothing where none is left.
  std::optional<uint64_t> take(uint64_t size);
  /// A part that take() gave.
  void give_back(uint64_t first);
  /// By their place.
  std::vector<Part> free_parts() const;

 private:
  void add_free(const Part& part);
  void remove_free(const Part& part);

  std::map<uint64_t, uint64_t> free_;                     // first -> size
  std::set<std::pair<uint64_t, uint64_t>> free_by_size_;  // (size, first)
  std::unordered_map<uint64_t, uint64_t> taken_;          // first -> size
};

}  // namespace brume

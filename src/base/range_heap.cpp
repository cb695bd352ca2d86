#include "brume/base/range_heap.h"

#include <iterator>

namespace brume {

RangeHeap::RangeHeap(uint64_t size) {
  if (size > 0) add_free({0, size});
}

std::optional<uint64_t> RangeHeap::take(uint64_t size) {
  const auto found = free_by_size_.lower_bound({size, 0});
  if (found == free_by_size_.end()) return std::nullopt;
  const Part part{found->second, found->first};
  remove_free(part);
  if (part.size > size) add_free({part.first + size, part.size - size});
  taken_.emplace(part.first, size);
  return part.first;
}

void RangeHeap::give_back(uint64_t first) {
  const auto taken = taken_.find(first);
  Part part{first, taken->second};
  taken_.erase(taken);
  const auto after = free_.lower_bound(first);
  if (after != free_.begin()) {
    const Part before{std::prev(after)->first, std::prev(after)->second};
    if (before.first + before.size == part.first) {
      remove_free(before);
      part = {before.first, before.size + part.size};
    }
  }
  if (const auto next = free_.find(part.first + part.size); next != free_.end()) {
    const Part behind{next->first, next->second};
    remove_free(behind);
    part.size += behind.size;
  }
  add_free(part);
}

std::vector<RangeHeap::Part> RangeHeap::free_parts() const {
  std::vector<Part> parts;
  for (const auto& [first, size] : free_) parts.push_back({first, size});
  return parts;
}

void RangeHeap::add_free(const Part& part) {
  free_.emplace(part.first, part.size);
  free_by_size_.emplace(part.size, part.first);
}

void RangeHeap::remove_free(const Part& part) {
  free_.erase(part.first);
  free_by_size_.erase({part.size, part.first});
}

}  // namespace brume

#include "brume/base/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>

#include "brume/base/range_heap.h"

namespace brume {

namespace {

constexpr size_t kLeast = size_t{32} << 10;  // smaller ones are malloc's
constexpr size_t kLargePage = size_t{2} << 20;

size_t up_to(size_t unit, size_t bytes) { return (bytes + unit - 1) / unit * unit; }

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

/// By ulimit -v, or by a system that counts every address as memory.
bool are_addresses_rationed() {
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur != RLIM_INFINITY) return true;
  constexpr int kStrict = 2;
  int overcommit = kStrict;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> overcommit;
  return overcommit == kStrict;
}

/// As much address space as there is memory, from a large page's beginning; nothing where it is rationed.
class Range {
 public:
  Range() {
#if !defined(__SANITIZE_ADDRESS__)
    if (are_addresses_rationed()) return;
    const size_t bytes = static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * page_bytes();
    void* const place = ::mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) return;
    const size_t skipped =
        up_to(kLargePage, reinterpret_cast<uintptr_t>(place)) - reinterpret_cast<uintptr_t>(place);
    first_ = static_cast<std::byte*>(place) + skipped;
    size_ = bytes;
    ::madvise(first_, size_, MADV_HUGEPAGE);
#endif
  }

  size_t size() const { return size_; }
  std::byte* at(uint64_t offset) const { return first_ + offset; }
  std::optional<uint64_t> offset_of(const void* place) const {
    const auto* byte = static_cast<const std::byte*>(place);
    if (byte < first_ || byte >= first_ + size_) return std::nullopt;
    return static_cast<uint64_t>(byte - first_);
  }

 private:
  std::byte* first_ = nullptr;
  size_t size_ = 0;
};

/// Never destroyed: tensors of static lifetime end after everything else.
class TensorMemory final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= kLeast && bytes <= range_.size()) {
      const std::lock_guard lock(mutex_);
      const uint64_t whole = up_to(page_bytes(), bytes);
      if (const std::optional<uint64_t> offset = heap_.take(whole)) {
        take_from_clean(*offset, *offset + whole);
        return {range_.at(*offset), range_.at(*offset), free_place, c10::Device(c10::DeviceType::CPU)};
      }
    }
    return c10::GetDefaultCPUAllocator()->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return free_place; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  bool usable() const { return range_.size() > 0; }

  void give_back() {
    const std::lock_guard lock(mutex_);
    clean_.clear();
    for (const RangeHeap::Part& part : heap_.free_parts()) {
      ::madvise(range_.at(part.first), part.size, MADV_DONTNEED);
      clean_.emplace(part.first, part.first + part.size);
    }
  }

  int64_t kept() {
    const std::lock_guard lock(mutex_);
    uint64_t bytes = 0;
    for (const RangeHeap::Part& part : heap_.free_parts()) bytes += part.size;
    for (const auto& [first, end] : clean_) bytes -= end - first;
    return static_cast<int64_t>(bytes);
  }

 private:
  static void free_place(void* place);

  void take_from_clean(uint64_t first, uint64_t end) {
    auto part = clean_.upper_bound(first);
    if (part != clean_.begin() && std::prev(part)->second > first) --part;
    while (part != clean_.end() && part->first < end) {
      const auto [part_first, part_end] = *part;
      part = clean_.erase(part);
      if (part_first < first) clean_.emplace(part_first, first);
      if (part_end > end) clean_.emplace(end, part_end);
    }
  }

  const Range range_;
  std::mutex mutex_;
  RangeHeap heap_{range_.size()};
  std::map<uint64_t, uint64_t> clean_{{0, range_.size()}};  // first -> end of what the system has; all free
};

TensorMemory& tensor_memory() {
  static auto* const memory = new TensorMemory();  // NOLINT(cppcoreguidelines-owning-memory)
  return *memory;
}

void TensorMemory::free_place(void* place) {
  TensorMemory& memory = tensor_memory();
  const std::optional<uint64_t> offset = memory.range_.offset_of(place);
  if (!offset) {
    c10::GetDefaultCPUAllocator()->raw_deleter()(place);
    return;
  }
  const std::lock_guard lock(memory.mutex_);
  memory.heap_.give_back(*offset);
}

}  // namespace

void use_own_tensor_memory() {
  if (tensor_memory().usable()) c10::SetCPUAllocator(&tensor_memory());
}

void give_back_tensor_memory() { tensor_memory().give_back(); }

int64_t kept_tensor_memory() { return tensor_memory().kept(); }

}  // namespace brume

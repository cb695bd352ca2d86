#include "brume/base/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "brume/base/range_heap.h"

namespace brume {

namespace {

constexpr size_t kLeast = size_t{32} << 10;  // smaller ones are malloc's
constexpr size_t kUnit = 4096;
constexpr size_t kLargePage = size_t{2} << 20;

size_t up_to(size_t unit, size_t bytes) { return (bytes + unit - 1) / unit * unit; }

/// As much address space as there is memory, from a large page's beginning; nothing where it is rationed.
class Range {
 public:
  Range() {
#if !defined(__SANITIZE_ADDRESS__)
    rlimit space{};
    if (::getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur != RLIM_INFINITY) return;
    const auto bytes =
        static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
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
    if (bytes >= kLeast) {
      const std::lock_guard lock(mutex_);
      if (const std::optional<uint64_t> offset = heap_.take(up_to(kUnit, bytes)))
        return {range_.at(*offset), range_.at(*offset), free_place, c10::Device(c10::DeviceType::CPU)};
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
    for (const RangeHeap::Part& part : heap_.free_parts())
      ::madvise(range_.at(part.first), part.size, MADV_DONTNEED);
  }

 private:
  static void free_place(void* place);

  const Range range_;
  std::mutex mutex_;
  RangeHeap heap_{range_.size()};
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

}  // namespace brume

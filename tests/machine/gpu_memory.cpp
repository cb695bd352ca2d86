#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

// All memory of a test program on a GPU is managed memory, so that a kernel can be handed any std::vector's.
// Pieces come from one large region, by powers of two, and go back to a list of their size.
namespace {

constexpr size_t kRegionBytes = size_t{4} << 30;
constexpr size_t kLeast = 64;

class ManagedHeap {
 public:
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    const int size = std::bit_width(std::max(bytes, kLeast) - 1);
    if (Free*& first = free_[static_cast<size_t>(size)]; first != nullptr) {
      Free* const taken = first;
      first = taken->next;
      return taken;
    }
    reserve();
    const size_t piece = size_t{1} << size;
    if (base_ == nullptr || used_ + piece > kRegionBytes) return nullptr;
    void* const taken = base_ + used_;
    used_ += piece;
    return taken;
  }

  /// False for memory that is not ours.
  bool give_back(void* memory, size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (!owns(memory)) return false;
    const int size = std::bit_width(std::max(bytes, kLeast) - 1);
    free_[static_cast<size_t>(size)] = new (memory) Free{free_[static_cast<size_t>(size)]};
    return true;
  }

 private:
  struct Free {
    Free* next;
  };

  bool owns(const void* memory) const {
    const auto place = reinterpret_cast<uintptr_t>(memory);
    const auto begin = reinterpret_cast<uintptr_t>(base_);
    return base_ != nullptr && place >= begin && place < begin + kRegionBytes;
  }

  void reserve() {
    if (tried_) return;
    tried_ = true;  // also while CUDA itself allocates
    void* region = nullptr;
    if (cudaMallocManaged(&region, kRegionBytes) == cudaSuccess) base_ = static_cast<std::byte*>(region);
  }

  std::recursive_mutex mutex_;
  bool tried_ = false;
  std::byte* base_ = nullptr;
  size_t used_ = 0;
  std::array<Free*, 64> free_ = {};
};

ManagedHeap& heap() {
  // Never destroyed: what is allocated last is given back last.
  alignas(ManagedHeap) static std::byte room[sizeof(ManagedHeap)];
  static auto* const only = new (room) ManagedHeap;
  return *only;
}

// Every piece is preceded by its size; 64 bytes keep the alignment.
constexpr size_t kHeader = 64;

void* allocate(size_t bytes) {
  void* memory = heap().take(bytes + kHeader);
  if (memory == nullptr) memory = std::aligned_alloc(kHeader, (bytes + 2 * kHeader - 1) / kHeader * kHeader);
  if (memory == nullptr) throw std::bad_alloc();
  *static_cast<size_t*>(memory) = bytes + kHeader;
  return static_cast<std::byte*>(memory) + kHeader;
}

void release(void* memory) {
  if (memory == nullptr) return;
  void* const piece = static_cast<std::byte*>(memory) - kHeader;
  if (!heap().give_back(piece, *static_cast<size_t*>(piece))) std::free(piece);
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete[](void* memory, size_t) noexcept { release(memory); }

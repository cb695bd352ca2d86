#include "graph_memory.h"

#include <c10/core/CPUAllocator.h>

#include <cstring>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace brume::testing {

namespace {

/// Whose work this thread runs; null for all other memory.
thread_local GraphMemory* running = nullptr;

constexpr int kNotFinite = 0xff;  // as bytes of a float of any size

}  // namespace

/// Stays for the rest of the program, as tensors do that came from it.
class GraphMemory::Allocator final : public c10::Allocator {
 public:
  static Allocator& only() {
    static auto* const allocator = new Allocator();
    return *allocator;
  }

  c10::DataPtr allocate(size_t bytes) override {
    if (running == nullptr || bytes == 0) return c10::GetDefaultCPUAllocator()->allocate(bytes);
    const std::shared_ptr<Block> block = running->next(bytes);
    void* const place = block->memory.get();
    const std::lock_guard lock(mutex_);
    held_.emplace(place, block);
    return {place, place, free_place, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return free_place; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

 private:
  static void free_place(void* place) {
    Allocator& here = only();
    std::unique_lock lock(here.mutex_);
    if (const auto block = here.held_.find(place); block != here.held_.end()) {
      here.held_.erase(block);
      return;
    }
    lock.unlock();
    c10::GetDefaultCPUAllocator()->raw_deleter()(place);
  }

  std::mutex mutex_;
  std::unordered_multimap<void*, std::shared_ptr<Block>> held_;  // by tensors
};

GraphMemory::GraphMemory() { c10::SetCPUAllocator(&Allocator::only()); }

GraphMemory::~GraphMemory() {
  for (const std::shared_ptr<Block>& block : blocks_) {
    if (block->bytes > 0) std::memset(block->memory.get(), kNotFinite, block->bytes);
  }
}

void GraphMemory::run(const std::function<void()>& work) {
  next_ = 0;
  GraphMemory* const before = std::exchange(running, this);
  try {
    work();
  } catch (...) {
    running = before;
    throw;
  }
  running = before;
  recorded_ = true;
  if (next_ != blocks_.size()) throw std::logic_error("a graph's work asks for less memory than it did");
}

std::shared_ptr<GraphMemory::Block> GraphMemory::next(size_t bytes) {
  if (!recorded_)
    blocks_.push_back(std::make_shared<Block>(c10::GetDefaultCPUAllocator()->allocate(bytes), bytes));
  if (next_ == blocks_.size() || blocks_[next_]->bytes != bytes)
    throw std::logic_error("a graph's work asks for other memory than it did");
  return blocks_[next_++];
}

}  // namespace brume::testing

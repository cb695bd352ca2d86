#include "graph_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
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

struct MemorySupply::Account {
  void take(int64_t wanted) {
    const std::lock_guard lock(mutex);
    largest = std::max(largest, wanted);
    ++requests;
    const bool fails =
        limits.failing > 0 && requests >= limits.failing && requests < limits.failing + limits.failures;
    if (fails || wanted > limits.bytes - used || wanted > limits.bytes_at_once)
      C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate 20.00 MiB.");
    used += wanted;
    peak = std::max(peak, used);
  }
  void give_back(int64_t taken) {
    const std::lock_guard lock(mutex);
    used -= taken;
  }

  MemoryLimits limits;
  int64_t used = 0;
  int64_t peak = 0;
  int64_t largest = 0;
  int64_t requests = 0;
  std::mutex mutex;
};

/// What tensors or a graph hold.
struct GraphMemory::Block {
  Block(size_t size, std::shared_ptr<MemorySupply::Account> of) : bytes(size), account(std::move(of)) {
    if (account) account->take(static_cast<int64_t>(bytes));
    memory = c10::GetDefaultCPUAllocator()->allocate(bytes);
  }
  ~Block() {
    if (account) account->give_back(static_cast<int64_t>(bytes));
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  size_t bytes;
  std::shared_ptr<MemorySupply::Account> account;
  c10::DataPtr memory;
};

/// Stays for the rest of the program, as tensors do that came from it.
class TestAllocator final : public c10::Allocator {
 public:
  using Block = GraphMemory::Block;

  static TestAllocator& only() {
    static auto* const allocator = [] {
      auto* const made = new TestAllocator();
      c10::SetCPUAllocator(made);
      return made;
    }();
    return *allocator;
  }

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes > 0 && running != nullptr) return held(running->next(bytes));
    std::shared_ptr<MemorySupply::Account> account = current();
    if (bytes > 0 && account) return held(std::make_shared<Block>(bytes, std::move(account)));
    return c10::GetDefaultCPUAllocator()->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return free_place; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  void set(std::shared_ptr<MemorySupply::Account> account) {
    const std::lock_guard lock(mutex_);
    account_ = std::move(account);
  }
  std::shared_ptr<MemorySupply::Account> current() {
    const std::lock_guard lock(mutex_);
    return account_;
  }

 private:
  c10::DataPtr held(const std::shared_ptr<Block>& block) {
    void* const place = block->memory.get();
    const std::lock_guard lock(mutex_);
    held_.emplace(place, block);
    return {place, place, free_place, c10::Device(c10::kCPU)};
  }

  static void free_place(void* place) {
    TestAllocator& here = only();
    std::shared_ptr<Block> block;  // ends when the lock is open again
    {
      const std::lock_guard lock(here.mutex_);
      if (const auto found = here.held_.find(place); found != here.held_.end()) {
        block = found->second;
        here.held_.erase(found);
      }
    }
    if (!block) c10::GetDefaultCPUAllocator()->raw_deleter()(place);
  }

  std::mutex mutex_;
  std::shared_ptr<MemorySupply::Account> account_;
  std::unordered_multimap<void*, std::shared_ptr<Block>> held_;  // by tensors
};

MemorySupply::MemorySupply(const MemoryLimits& limits) : account_(std::make_shared<Account>()) {
  account_->limits = limits;
  TestAllocator::only().set(account_);
}

MemorySupply::~MemorySupply() { TestAllocator::only().set(nullptr); }

int64_t MemorySupply::requests() const {
  const std::lock_guard lock(account_->mutex);
  return account_->requests;
}

int64_t MemorySupply::peak() const {
  const std::lock_guard lock(account_->mutex);
  return account_->peak;
}

int64_t MemorySupply::largest() const {
  const std::lock_guard lock(account_->mutex);
  return account_->largest;
}

GraphMemory::GraphMemory() { TestAllocator::only(); }

GraphMemory::~GraphMemory() {
  for (const std::shared_ptr<Block>& block : blocks_)
    std::memset(block->memory.get(), kNotFinite, block->bytes);
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
  if (!recorded_) blocks_.push_back(std::make_shared<Block>(bytes, TestAllocator::only().current()));
  if (next_ == blocks_.size() || blocks_[next_]->bytes != bytes)
    throw std::logic_error("a graph's work asks for other memory than it did");
  return blocks_[next_++];
}

}  // namespace brume::testing

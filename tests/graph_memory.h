#pragma once
#include <c10/core/Allocator.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

namespace brume::testing {

/// What a supply of memory has.
struct MemoryLimits {
  int64_t bytes = std::numeric_limits<int64_t>::max();
  int64_t bytes_at_once = std::numeric_limits<int64_t>::max();  // in one piece
  int64_t failing = 0;   // this request, counted from 1, fails in any case,
  int64_t failures = 1;  // and so many from it on
};

/// How much memory there is for the CPU's tensors that are made while this is there, of which there is one at
/// a time: who asks for more gets c10::OutOfMemoryError, as on a GPU.
class MemorySupply {
 public:
  explicit MemorySupply(const MemoryLimits& limits = {});
  ~MemorySupply();
  MemorySupply(const MemorySupply&) = delete;
  MemorySupply& operator=(const MemorySupply&) = delete;

  int64_t requests() const;
  /// The most bytes that were in use at a time.
  int64_t peak() const;
  /// The largest that was asked for.
  int64_t largest() const;

  struct Account;

 private:
  std::shared_ptr<Account> account_;
};

/// The memory of a graph's tensors on the CPU: what `run` is given for the first time gets new memory, and
/// from then on the same, allocation by allocation. Once this is gone, what it held reads as numbers that are
/// not finite.
class GraphMemory {
 public:
  GraphMemory();
  ~GraphMemory();
  GraphMemory(const GraphMemory&) = delete;
  GraphMemory& operator=(const GraphMemory&) = delete;

  /// Throws std::logic_error where the work asks for other memory than it did before.
  void run(const std::function<void()>& work);

 private:
  friend class TestAllocator;
  struct Block;

  std::shared_ptr<Block> next(size_t bytes);

  std::vector<std::shared_ptr<Block>> blocks_;
  size_t next_ = 0;
  bool recorded_ = false;
};

}  // namespace brume::testing

#pragma once
#include <c10/core/Allocator.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace brume::testing {

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
  struct Block {
    c10::DataPtr memory;
    size_t bytes;
  };
  class Allocator;

  std::shared_ptr<Block> next(size_t bytes);

  std::vector<std::shared_ptr<Block>> blocks_;
  size_t next_ = 0;
  bool recorded_ = false;
};

}  // namespace brume::testing

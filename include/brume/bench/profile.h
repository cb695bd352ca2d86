#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brume::bench {

/// All calls of one operation.
struct Operation {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
  double flop = 0;  // zero where its arithmetic is not counted
};

/// While it lives, takes the time of every operation that this thread calls: those of kernels/ by their own
/// names, the others by libtorch's. An operation that another one calls is a part of that one.
class Profiler {
 public:
  Profiler();
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// The slowest first.
  std::vector<Operation> operations() const;

 private:
  struct Calls;
  std::unique_ptr<Calls> calls_;
  uint64_t handle_;
};

}  // namespace brume::bench

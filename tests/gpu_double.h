#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/gpu/gpu.h"

namespace brume::testing {

/// A GPU of the tests, whose tensors are the CPU's: it does at once what it is told, and remembers what that
/// was. As with a real one, the work of a graph has the same memory whenever it is run, and none once the
/// graph is gone. What is sent from Staging it copies twice, at the first moment at which a GPU may do so and
/// at the last, when it is waited for: bytes that are sent or overwritten too early are wrong ones then.
class GpuDouble : public kernels::gpu::Gpu {
 public:
  GpuDouble();

  const kernels::gpu::Properties& properties() const override { return properties_; }
  int64_t free_memory() const override { return properties_.memory_bytes; }
  int64_t peak_memory() const override { return 0; }
  std::unique_ptr<kernels::gpu::Graph> capture(const std::function<void()>& work) const override;
  std::unique_ptr<kernels::gpu::Mark> mark() const override;
  std::unique_ptr<kernels::gpu::Staging> staging(size_t bytes) const override;
  void give_back() const override { log_->add("give back"); }
  /// In memory that no supply of the tests counts.
  at::Tensor host_copy(const at::Tensor& tensor) const override;
  /// It has nobody to tell: the tests count its memory themselves.
  void watch_memory(const kernels::gpu::MemoryWatcher& /*watcher*/) const override {}
  void synchronize() const override { log_->add("synchronize"); }

  /// What it was asked for, in order: "capture", "replay", "mark 1", "wait 1", "give back", "synchronize";
  /// of the first Staging "staging 1", "send 1", "sent 1" when that was waited for, "staging 1 ends".
  std::vector<std::string> events() const { return log_->all(); }
  /// How many of these begin with `kind`.
  int64_t count(const std::string& kind) const;
  /// Graphs that are there now.
  int64_t graphs() const { return log_->graphs; }
  /// Weights that are in the machine's memory now.
  int64_t hosted() const { return log_->hosted; }
  /// The `k`-th capture from now on, counted from 1, throws between its first run and the recording.
  void fail_capture(int64_t k) { captures_to_failure_ = k; }

  /// Shared with graphs and marks, which may outlive it.
  struct Log {
    void add(const std::string& event);
    std::vector<std::string> all() const;

    std::vector<std::string> events;
    int64_t graphs = 0;
    int64_t hosted = 0;
    mutable std::mutex mutex;
  };

 private:
  kernels::gpu::Properties properties_;
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
  mutable int64_t captures_to_failure_ = 0;
  mutable int64_t marks_ = 0;
  mutable std::atomic<int64_t> stagings_ = 0;
};

}  // namespace brume::testing

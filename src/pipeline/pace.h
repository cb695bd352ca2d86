#pragma once
#include <deque>
#include <memory>

#include "kernels/gpu/gpu.h"

namespace brume {

/// Keeps the processor a step or two before the GPU, which then never waits for it: no further, so that
/// progress is what was done and a stop comes soon.
class Pace {
 public:
  /// Null: the CPU, which does what it is told at once.
  explicit Pace(const kernels::gpu::Gpu* gpu) : gpu_(gpu) {}

  /// A step has been started.
  void step() {
    if (gpu_ == nullptr) return;
    started_.push_back(gpu_->mark());
    if (started_.size() <= kAhead) return;
    started_.front()->wait();
    started_.pop_front();
  }

 private:
  static constexpr size_t kAhead = 2;

  const kernels::gpu::Gpu* gpu_;
  std::deque<std::unique_ptr<kernels::gpu::Mark>> started_;
};

}  // namespace brume

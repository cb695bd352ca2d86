#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "kernels/gpu/gpu.h"

namespace brume::testing {

/// Another GPU, of which a test changes a part.
class ForwardingGpu : public kernels::gpu::Gpu {
 public:
  explicit ForwardingGpu(std::shared_ptr<const kernels::gpu::Gpu> gpu) : gpu_(std::move(gpu)) {}

  const kernels::gpu::Properties& properties() const override { return gpu_->properties(); }
  int64_t free_memory() const override { return gpu_->free_memory(); }
  int64_t peak_memory() const override { return gpu_->peak_memory(); }
  std::unique_ptr<kernels::gpu::Graph> capture(const std::function<void()>& work) const override {
    return gpu_->capture(work);
  }
  std::unique_ptr<kernels::gpu::Mark> mark() const override { return gpu_->mark(); }
  std::unique_ptr<kernels::gpu::Staging> staging(size_t bytes) const override { return gpu_->staging(bytes); }
  void give_back() const override { gpu_->give_back(); }
  at::Tensor host_copy(const at::Tensor& tensor) const override { return gpu_->host_copy(tensor); }
  void watch_memory(const kernels::gpu::MemoryWatcher& watcher) const override {
    gpu_->watch_memory(watcher);
  }
  void synchronize() const override { gpu_->synchronize(); }

 private:
  std::shared_ptr<const kernels::gpu::Gpu> gpu_;
};

}  // namespace brume::testing

#pragma once
#include <c10/util/Exception.h>

#include <atomic>

#include "forwarding_gpu.h"

namespace brume::testing {

/// One that has no room for a UNet's step as long as the UNet's weights are there, too.
class StreamingGpu : public ForwardingGpu {
 public:
  using ForwardingGpu::ForwardingGpu;

  std::unique_ptr<kernels::gpu::Graph> capture(const std::function<void()>& work) const override {
    if (hosted_ == 0) C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate 20.00 MiB.");
    return ForwardingGpu::capture(work);
  }
  at::Tensor host_copy(const at::Tensor& tensor) const override {
    ++hosted_;
    return ForwardingGpu::host_copy(tensor);
  }

  /// How often a weight was put there.
  int64_t hosted() const { return hosted_; }

 private:
  mutable std::atomic<int64_t> hosted_ = 0;
};

}  // namespace brume::testing

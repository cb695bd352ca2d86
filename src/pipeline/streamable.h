#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "brume/base/placement.h"
#include "kernels/gpu/gpu.h"

namespace brume {

/// A network that a GPU need not have room for: where there is none, its weights are streamed, which is, its
/// layers keep their large ones in the machine's memory and fetch them whenever they compute. May be used
/// from several threads.
template <class Network>
class Streamable {
 public:
  /// Makes it, with its weights as and where a placement says; what is to be told of them is appended.
  using Open =
      std::function<std::unique_ptr<const Network>(const Placement&, std::vector<std::string>& remarks)>;

  /// Opens nothing yet. `gpu` is null for the CPU, which has no other memory; it must outlive this.
  Streamable(const Placement& placement, const kernels::gpu::Gpu* gpu, Open open)
      : placement_(placement), gpu_(gpu), open_(std::move(open)) {}

  /// Before the first use: opens it, streamed where there is no room for all of it.
  void open(std::vector<std::string>& remarks) {
    const std::unique_lock lock(mutex_);
    try {
      opened();
    } catch (const c10::OutOfMemoryError&) {
      if (gpu_ == nullptr) throw;
      remarks_.clear();
      streamed_ = true;
    }
    if (streamed_) {
      gpu_->give_back();
      opened();
    }
    remarks.insert(remarks.end(), remarks_.begin(), remarks_.end());
  }

  /// What `work` makes of it, which is opened if it is not. Throws c10::OutOfMemoryError where there is no
  /// room for that, and may be called again.
  template <class Work>
  auto use(const Work& work) {
    for (;;) {
      {
        const std::shared_lock lock(mutex_);
        if (network_) return work(*network_);
      }
      const std::unique_lock lock(mutex_);
      if (!network_) opened();
    }
  }
  /// The same, where it is open. False where it is not.
  template <class Work>
  bool use_if_open(const Work& work) const {
    const std::shared_lock lock(mutex_);
    if (network_) work(*network_);
    return network_ != nullptr;
  }

  /// Gives up its place on the GPU, once nobody uses it: from its next use on it is streamed. False where it
  /// has none to give up.
  bool stream() {
    const std::unique_lock lock(mutex_);
    if (streamed_ || !wanted_) return false;
    streamed_ = true;
    network_.reset();
    return true;
  }
  bool is_streamed() const {
    const std::shared_lock lock(mutex_);
    return streamed_;
  }
  /// Bytes of the GPU's that it gives up then, about.
  int64_t streamable_bytes() const {
    const std::shared_lock lock(mutex_);
    return network_ && !streamed_ ? bytes_ : 0;
  }

 private:
  void opened() {
    wanted_ = true;
    Placement placement = placement_;
    if (streamed_)
      placement.host_copy = [gpu = gpu_](const at::Tensor& weight) { return gpu->host_copy(weight); };
    const int64_t free = free_memory();
    remarks_.clear();
    network_ = open_(placement, remarks_);
    bytes_ = std::max<int64_t>(free - free_memory(), 0);
  }
  int64_t free_memory() const { return gpu_ != nullptr ? gpu_->free_memory() : 0; }

  const Placement placement_;
  const kernels::gpu::Gpu* const gpu_;
  const Open open_;
  mutable std::shared_mutex mutex_;  // shared by those who use it
  std::unique_ptr<const Network> network_;
  std::vector<std::string> remarks_;
  bool wanted_ = false;
  bool streamed_ = false;
  int64_t bytes_ = 0;
};

}  // namespace brume

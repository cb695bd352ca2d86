#include "brume/unet/unet_graphs.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace brume {

namespace {

/// Each holds the maps of a whole step; batches have one for each number of rows.
constexpr size_t kMostCalls = 4;
/// One that was used in so many of the last calls does not make way: recording costs more than a few calls
/// gain.
constexpr uint64_t kInUse = 16;

bool same_sizes(const std::vector<at::Tensor>& left, const std::vector<at::Tensor>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const at::Tensor& a, const at::Tensor& b) { return a.sizes() == b.sizes(); });
}

bool same_tensors(const std::vector<at::Tensor>& left, const std::vector<at::Tensor>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const at::Tensor& a, const at::Tensor& b) { return a.is_same(b); });
}

PreparedWords copy_of(const PreparedWords& words) {
  PreparedWords copy;
  copy.keys_values.reserve(words.keys_values.size());
  for (const at::Tensor& one : words.keys_values) copy.keys_values.push_back(one.clone());
  return copy;
}

}  // namespace

/// The graph of one size, and the tensors that it reads and writes.
class UNetGraphs::Call {
 public:
  Call(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype, const at::Tensor& latents,
       const at::Tensor& times, const PreparedWords& words)
      : words_(copy_of(words)),
        latents_(at::zeros(latents.sizes(), times.options().dtype(at::kFloat))),
        times_(times.clone(at::MemoryFormat::Contiguous)),
        given_(words.keys_values) {
    graph_ = gpu.capture([this, &unet, dtype] {
      prediction_ = unet(latents_.to(dtype), times_, words_).to(at::kFloat).contiguous();
    });
  }

  bool fits(const at::Tensor& latents, const PreparedWords& words) const {
    return latents.sizes() == latents_.sizes() && same_sizes(words.keys_values, words_.keys_values);
  }

  at::Tensor operator()(const at::Tensor& latents, const at::Tensor& times, const PreparedWords& words) {
    const std::vector<at::Tensor>& given = words.keys_values;
    if (!same_tensors(given, given_)) {
      given_.clear();  // until all are copied
      for (size_t i = 0; i < given.size(); ++i) words_.keys_values[i].copy_(given[i]);
      given_ = given;
    }
    // What comes from the CPU has been taken when this returns; nothing waits for the GPU.
    latents_.copy_(latents, /*non_blocking=*/true);
    times_.copy_(times);
    graph_->replay();
    return prediction_.clone();  // the next call writes there
  }

  uint64_t last_used = 0;

 private:
  PreparedWords words_;            // that the graph reads
  at::Tensor latents_;             // [N, C, H, W] fp32
  at::Tensor times_;               // [N, columns]
  std::vector<at::Tensor> given_;  // whose contents words_ has
  at::Tensor prediction_;          // [N, C', H, W] fp32
  std::unique_ptr<kernels::gpu::Graph> graph_;
};

UNetGraphs::UNetGraphs(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype)
    : unet_(unet), gpu_(gpu), dtype_(dtype) {}
UNetGraphs::~UNetGraphs() = default;

UNetGraphs::Call* UNetGraphs::call_for(const at::Tensor& latents, const at::Tensor& times,
                                       const PreparedWords& words) {
  ++asked_;
  const auto found = std::find_if(calls_.begin(), calls_.end(),
                                  [&](const auto& call) { return call->fits(latents, words); });
  if (found != calls_.end()) {
    calls_.splice(calls_.begin(), calls_, found);
  } else {
    if (calls_.size() == kMostCalls) {
      if (asked_ - calls_.back()->last_used < kInUse) return nullptr;
      calls_.pop_back();
    }
    calls_.push_front(std::make_unique<Call>(unet_, gpu_, dtype_, latents, times, words));
  }
  calls_.front()->last_used = asked_;
  return calls_.front().get();
}

at::Tensor UNetGraphs::unrecorded(const at::Tensor& latents, const at::Tensor& times,
                                  const PreparedWords& words) const {
  const at::Tensor placed = latents.to(gpu_.properties().device, at::kFloat, /*non_blocking=*/true);
  return unet_(placed.to(dtype_), times, words).to(at::kFloat);
}

bool UNetGraphs::drop() {
  const std::lock_guard lock(mutex_);
  const bool any = !calls_.empty();
  calls_.clear();
  return any;
}

at::Tensor UNetGraphs::operator()(const at::Tensor& latents, const at::Tensor& times,
                                  const PreparedWords& words) {
  if (words.changes.empty()) {
    const std::lock_guard lock(mutex_);
    if (Call* const call = call_for(latents, times, words)) return (*call)(latents, times, words);
  }
  return unrecorded(latents, times, words);
}

}  // namespace brume

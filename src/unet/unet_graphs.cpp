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

/// All tensors of words, in one order.
std::vector<at::Tensor> tensors_of(const PreparedWords& words) {
  std::vector<at::Tensor> tensors = words.keys_values;
  for (const at::Tensor& other : {words.added, words.scale}) {
    if (other.defined()) tensors.push_back(other);
  }
  return tensors;
}

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
  if (words.added.defined()) copy.added = words.added.clone();
  if (words.scale.defined()) copy.scale = words.scale.clone();
  return copy;
}

}  // namespace

/// The graph of one size, and the tensors that it reads and writes.
class UNetGraphs::Call {
 public:
  Call(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype, const at::Tensor& latents,
       const PreparedWords& words)
      : words_(copy_of(words)),
        inputs_(tensors_of(words_)),
        latents_(at::zeros(latents.sizes(), inputs_.front().options().dtype(at::kFloat))),
        timesteps_(at::zeros({latents.size(0)}, latents_.options())),
        given_(tensors_of(words)) {
    graph_ = gpu.capture([this, &unet, dtype] {
      prediction_ = unet(latents_.to(dtype), timesteps_, words_).to(at::kFloat).contiguous();
    });
  }

  bool fits(const at::Tensor& latents, const PreparedWords& words) const {
    return latents.sizes() == latents_.sizes() && same_sizes(tensors_of(words), inputs_);
  }

  at::Tensor operator()(const at::Tensor& latents, const at::Tensor& timesteps, const PreparedWords& words) {
    std::vector<at::Tensor> given = tensors_of(words);
    if (!same_tensors(given, given_)) {
      given_.clear();  // until all are copied
      for (size_t i = 0; i < given.size(); ++i) inputs_[i].copy_(given[i]);
      given_ = std::move(given);
    }
    // What comes from the CPU has been taken when this returns; nothing waits for the GPU.
    latents_.copy_(latents, /*non_blocking=*/true);
    timesteps_.copy_(timesteps, /*non_blocking=*/true);
    graph_->replay();
    return prediction_.clone();  // the next call writes there
  }

  uint64_t last_used = 0;

 private:
  PreparedWords words_;             // that the graph reads
  std::vector<at::Tensor> inputs_;  // its tensors
  at::Tensor latents_;              // [N, C, H, W] fp32
  at::Tensor timesteps_;            // [N] fp32
  std::vector<at::Tensor> given_;   // whose contents are in inputs_
  at::Tensor prediction_;           // [N, C', H, W] fp32
  std::unique_ptr<kernels::gpu::Graph> graph_;
};

UNetGraphs::UNetGraphs(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype)
    : unet_(unet), gpu_(gpu), dtype_(dtype) {}
UNetGraphs::~UNetGraphs() = default;

UNetGraphs::Call* UNetGraphs::call_for(const at::Tensor& latents, const PreparedWords& words) {
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
    calls_.push_front(std::make_unique<Call>(unet_, gpu_, dtype_, latents, words));
  }
  calls_.front()->last_used = asked_;
  return calls_.front().get();
}

at::Tensor UNetGraphs::unrecorded(const at::Tensor& latents, const at::Tensor& timesteps,
                                  const PreparedWords& words) const {
  const auto placed = [this](const at::Tensor& values) {
    return values.to(gpu_.properties().device, values.scalar_type(), /*non_blocking=*/true);
  };
  return unet_(placed(latents).to(dtype_), placed(timesteps), words).to(at::kFloat);
}

bool UNetGraphs::drop() {
  const std::lock_guard lock(mutex_);
  const bool any = !calls_.empty();
  calls_.clear();
  return any;
}

at::Tensor UNetGraphs::operator()(const at::Tensor& latents, const at::Tensor& timesteps,
                                  const PreparedWords& words) {
  if (words.changes.empty()) {
    const std::lock_guard lock(mutex_);
    if (Call* const call = call_for(latents, words)) return (*call)(latents, timesteps, words);
  }
  return unrecorded(latents, timesteps, words);
}

}  // namespace brume

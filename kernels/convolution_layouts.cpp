#include "kernels/convolution_layouts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>

namespace brume::kernels {

namespace {

// Small weights are held in two layouts: networks of several sizes take turns at them. Of large ones a second
// layout would double the memory, and laying them out takes little beside a call.
constexpr size_t kSmallBytes = size_t{4} << 20;
constexpr size_t kMostCalls = 64;  // sizes remembered for one layout

size_t most_held(const at::Tensor& packed) {
  return onednn::packed_bytes(packed).size() <= kSmallBytes ? 2 : 1;
}

}  // namespace

ConvolutionLayouts::ConvolutionLayouts(at::Tensor weight, const onednn::Geometry& geometry)
    : geometry_(geometry), plain_(std::move(weight)) {}

at::Tensor ConvolutionLayouts::for_map(const at::Tensor& x) {
  const Call call{x.size(2), x.size(3), at::get_num_threads()};
  const std::lock_guard lock(mutex_);
  const auto wanted = std::find_if(layouts_.begin(), layouts_.end(), [&](const Layout& layout) {
    return std::find(layout.calls.begin(), layout.calls.end(), call) != layout.calls.end();
  });
  if (wanted == layouts_.end()) return pack_for(x, call);
  layouts_.splice(layouts_.begin(), layouts_, wanted);
  return layouts_.front().packed;
}

size_t ConvolutionLayouts::held() const {
  const std::lock_guard lock(mutex_);
  return layouts_.size();
}

at::Tensor ConvolutionLayouts::pack_for(const at::Tensor& x, const Call& call) {
  const at::Tensor plain = plain_.defined() ? plain_ : layouts_.front().packed.to_dense();
  const at::Tensor packed = onednn::pack_convolution(plain, geometry_, x.sizes());
  plain_.reset();
  const auto same = std::find_if(layouts_.begin(), layouts_.end(), [&](const Layout& layout) {
    return onednn::equal_layout(layout.packed, packed);
  });
  if (same == layouts_.end()) {
    if (layouts_.size() == most_held(packed)) layouts_.pop_back();
    layouts_.push_front({packed, {}});
  } else {
    layouts_.splice(layouts_.begin(), layouts_, same);
  }
  Layout& layout = layouts_.front();
  if (layout.calls.size() == kMostCalls) layout.calls.clear();
  layout.calls.push_back(call);
  return layout.packed;
}

}  // namespace brume::kernels

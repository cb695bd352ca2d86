#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <vector>

#include "kernels/onednn.h"

namespace brume::kernels {

/// A convolution's weights in the layouts that oneDNN wants for the maps that came so far. Which one that is
/// hangs on the map's size and on the number of threads; weights in another one are laid out anew in each
/// call, on AVX2 by a loop that takes longer than the convolution itself. How many maps there are in a call
/// changed nothing where it was tried, and is not looked at: a batch that grows and shrinks should not lay
/// out its weights again. To be asked from any thread.
class ConvolutionLayouts {
 public:
  /// weight [out, in, k, k], which onednn::can_pack.
  ConvolutionLayouts(at::Tensor weight, const onednn::Geometry& geometry);

  /// Packed for maps of the height and width of x [N, in, H, W].
  at::Tensor for_map(const at::Tensor& x);
  /// How many layouts are held.
  size_t held() const;

 private:
  struct Call {
    int64_t height;
    int64_t width;
    int threads;
    bool operator==(const Call&) const = default;
  };
  struct Layout {
    at::Tensor packed;
    std::vector<Call> calls;  // that want it
  };

  at::Tensor pack_for(const at::Tensor& x, const Call& call);

  onednn::Geometry geometry_;
  mutable std::mutex mutex_;
  at::Tensor plain_;           // until the first call
  std::list<Layout> layouts_;  // the last used first
};

}  // namespace brume::kernels

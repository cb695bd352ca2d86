#pragma once
#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <limits>

#include "brume/unet/unet.h"
#include "brume/unet/unet_graphs.h"
#include "kernels/gpu/gpu.h"

namespace brume {

/// What the UNet makes of rows.
struct PredictedRows {
  at::Tensor prediction;  // [N, C, H, W] fp32
  bool in_parts = false;  // for want of memory not all rows went through it together
};

/// A UNet on a GPU, called for as many rows at a time as memory has room for. Where there is none, what the
/// recorded calls hold is given back; where that is not enough, the rows go in halves, these again, and at
/// last one by one. How many went is remembered for the later calls. May be called from several threads.
class RowsThatFit {
 public:
  /// Both must outlive it.
  RowsThatFit(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype);

  /// As the UNet's own call, for latents [N, C, H, W] fp32 of any device. Does not wait for the GPU. Throws
  /// c10::OutOfMemoryError where a single row has no room.
  PredictedRows operator()(const at::Tensor& latents, const at::Tensor& times, const PreparedWords& words);

  /// Gives back the memory that nobody uses, and that of the recorded calls. True where there were any.
  bool make_room();

 private:
  int64_t rows_at_a_time(int64_t rows, int64_t area) const;
  void take_fewer_than(int64_t rows, int64_t area);

  const kernels::gpu::Gpu& gpu_;
  UNetGraphs graphs_;
  // Latents of one channel: of small pictures more rows go together than of large ones.
  std::atomic<int64_t> most_area_ = std::numeric_limits<int64_t>::max();
};

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "brume/unet/unet.h"
#include "kernels/gpu/gpu.h"

namespace brume {

/// A UNet on a GPU, whose call is one recorded graph for each size and number of rows: hundreds of small
/// launches cost the processor more than the GPU. Words are copied into the graph when others come, not with
/// every step. Not recorded, but as correct, are calls that change some rows (perturbed guidance, FreeU), and
/// those of a size that comes while as many others as can be kept are in use: recording each anew with every
/// step would take longer. May be called from several threads.
class UNetGraphs {
 public:
  /// Both must outlive it.
  UNetGraphs(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype);
  ~UNetGraphs();

  /// As the UNet's own call, for latents [N, C, H, W] fp32 of any device -> fp32 on the GPU.
  at::Tensor operator()(const at::Tensor& latents, const at::Tensor& times, const PreparedWords& words);
  /// Forgets what was recorded, which has the memory of whole steps. True where there was anything.
  bool drop();

 private:
  class Call;
  /// Null where none should be recorded.
  Call* call_for(const at::Tensor& latents, const at::Tensor& times, const PreparedWords& words);
  at::Tensor unrecorded(const at::Tensor& latents, const at::Tensor& times, const PreparedWords& words) const;

  const UNet& unet_;
  const kernels::gpu::Gpu& gpu_;
  at::ScalarType dtype_;
  std::mutex mutex_;
  std::list<std::unique_ptr<Call>> calls_;  // the last used first
  uint64_t asked_ = 0;                      // how often one was asked for
};

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <list>
#include <memory>
#include <mutex>

#include "brume/unet/unet.h"
#include "kernels/gpu/gpu.h"

namespace brume {

/// A UNet on a GPU, whose call is one recorded graph for each size and number of rows: hundreds of small
/// launches cost the processor more than the GPU. Words are copied into the graph when others come, not with
/// every step. May be called from several threads.
class UNetGraphs {
 public:
  /// Both must outlive it.
  UNetGraphs(const UNet& unet, const kernels::gpu::Gpu& gpu, at::ScalarType dtype);
  ~UNetGraphs();

  /// As the UNet's own call, for latents [N, C, H, W] fp32 of any device -> fp32 on the GPU.
  at::Tensor operator()(const at::Tensor& latents, const at::Tensor& timesteps, const PreparedWords& words);
  /// Forgets what was recorded, which has the memory of whole steps. True where there was anything.
  bool drop();

 private:
  class Call;
  Call& call_for(const at::Tensor& latents, const PreparedWords& words);

  const UNet& unet_;
  const kernels::gpu::Gpu& gpu_;
  at::ScalarType dtype_;
  std::mutex mutex_;
  std::list<std::unique_ptr<Call>> calls_;  // the last used first
};

}  // namespace brume

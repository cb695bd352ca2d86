#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "brume/pipeline/model_config.h"
#include "brume/pipeline/prompt_encoder.h"
#include "brume/unet/rows_that_fit.h"
#include "brume/unet/unet.h"
#include "brume/vae/autoencoder.h"
#include "gpu_loader.h"
#include "streamable.h"

namespace brume {

/// A UNet where it computes.
struct PlacedUNet {
  PlacedUNet(const WeightsView& weights, const UNetConfig& config, const kernels::gpu::Gpu* gpu);

  const UNet unet;
  const std::unique_ptr<RowsThatFit> rows;  // on a GPU
};

/// All networks of a model, and what they can do for each other where a GPU's memory is short.
class Networks {
 public:
  /// Opens them; what is to be told of them is appended to `remarks`. `gpu` is null for the CPU.
  Networks(const ModelConfig& model, const Placement& placement, at::ScalarType vae_dtype,
           std::shared_ptr<const kernels::gpu::Gpu> gpu, std::vector<std::string>& remarks);

  Streamable<PromptEncoder>& prompts() { return prompts_; }
  Streamable<PlacedUNet>& unet() { return unet_; }
  Streamable<Autoencoder>& vae() { return vae_; }
  /// The autoencoder in fp32, opened when a picture first needs it: what overflowed once will do so again.
  Streamable<Autoencoder>& exact_vae() { return exact_vae_; }

  bool on_gpu() const { return gpu_ != nullptr; }
  /// For what found no memory, for the `time`-th time from 0 on: gives back what nobody uses and the
  /// recorded calls; then network after network is streamed, which costs the least first. False where nothing
  /// is left to be done.
  bool make_room(int time);
  /// The first of that.
  void give_back() const;
  /// Whether any is streamed.
  bool any_streamed() const;
  /// Bytes of the GPU's that all give up when they are.
  int64_t streamable_bytes() const;

 private:
  std::shared_ptr<const kernels::gpu::Gpu> gpu_;
  std::shared_ptr<Loaders> loaders_;
  Streamable<PromptEncoder> prompts_;
  Streamable<PlacedUNet> unet_;
  Streamable<Autoencoder> vae_;
  Streamable<Autoencoder> exact_vae_;
};

}  // namespace brume

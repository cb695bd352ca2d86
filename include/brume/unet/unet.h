#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "brume/base/placement.h"
#include "brume/nn/conv2d.h"
#include "brume/nn/linear.h"
#include "brume/nn/norm.h"
#include "brume/nn/time_projections.h"
#include "brume/nn/timestep_embedding.h"
#include "brume/unet/row_change.h"
#include "brume/unet/unet_blocks.h"
#include "brume/unet/unet_config.h"
#include "brume/weights/weights.h"

namespace brume {

/// What the UNet is told to draw.
struct Conditioning {
  at::Tensor context;   // [N, T, context_width]: the words
  at::Tensor pooled;    // [N, P], where the model has an added condition
  at::Tensor time_ids;  // [N, 6] fp32: original height and width, crop top and left, target height and width;
                        // a refiner's [N, 5] end with how beautiful it is to be
  at::Tensor scale;     // [N] fp32: the guidance scale, where the network is told it
};

/// What of it is the same in every step, as the UNet reads it.
struct PreparedWords {
  std::vector<at::Tensor> keys_values;  // [N, T, 2 width] for each cross-attention, in the network's order
  std::vector<RowChange> changes = {};  // N, or empty where no row has any
  // For times():
  int64_t rows = 0;       // N
  at::Tensor added = {};  // [N, 4 C0], where the model has an added condition
  at::Tensor scale = {};  // [N, C0], where the network is told the guidance scale
};

/// The denoising network of Stable Diffusion 1, 2 and XL ("High-Resolution Image Synthesis with Latent
/// Diffusion Models", Rombach et al. 2022; "SDXL", Podell et al. 2023). Mirrors diffusers'
/// UNet2DConditionModel.
class UNet {
 public:
  UNet(const WeightsView& weights, const UNetConfig& config);

  PreparedWords prepare(const Conditioning& conditioning) const;
  /// What its residual blocks read of timesteps [M] fp32 beside words of N rows: [M, N, columns]. Known as
  /// soon as the schedule is, and in one product for all steps.
  at::Tensor times(const at::Tensor& timesteps, const PreparedWords& words) const;
  /// latents [N, in_channels, H, W], times [N, columns] -> prediction [N, out_channels, H, W], in the
  /// latents' dtype.
  at::Tensor operator()(const at::Tensor& latents, const at::Tensor& times, const PreparedWords& words) const;
  const UNetConfig& config() const { return config_; }

 private:
  at::Tensor sinusoid(const at::Tensor& values, int64_t width, at::ScalarType dtype) const;
  at::Tensor embed_added(const Conditioning& conditioning) const;
  at::Tensor embed_scale(const Conditioning& conditioning) const;

  UNetConfig config_;
  Placement placement_;
  nn::Conv2d conv_in_;
  nn::TimestepEmbedding time_embedding_;
  std::optional<nn::TimestepEmbedding> added_embedding_;
  std::optional<nn::Linear> scale_projection_;
  nn::TimeProjections times_;
  std::vector<DownBlock> down_;
  std::optional<MidBlock> mid_;
  std::vector<UpBlock> up_;
  nn::GroupNorm norm_out_;
  nn::Conv2d conv_out_;
};

}  // namespace brume

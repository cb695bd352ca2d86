#include "brume/unet/unet.h"

#include <ATen/ATen.h>

#include "kernels/silu.h"
#include "kernels/timestep_embedding.h"

namespace brume {

namespace {

constexpr size_t kFreeUStages = 2;

int64_t time_width(const UNetConfig& config) { return 4 * config.levels.front().channels; }

std::vector<PerturbedLayers> perturbed_of(const std::vector<RowChange>& rows) {
  std::vector<PerturbedLayers> layers;
  layers.reserve(rows.size());
  for (const RowChange& row : rows) layers.push_back(row.perturbed);
  return layers;
}

}  // namespace

UNet::UNet(const WeightsView& weights, const UNetConfig& config)
    : config_(config),
      placement_(weights.placement()),
      conv_in_(weights / "conv_in", {config.in_channels, config.levels.front().channels}),
      time_embedding_(weights / "time_embedding", config.levels.front().channels, time_width(config)),
      times_(time_width(config)),
      norm_out_(weights / "conv_norm_out", config.levels.front().channels,
                {config.norm_groups, config.norm_eps, kernels::Activation::kSilu}),
      conv_out_(weights / "conv_out", {config.levels.front().channels, config.out_channels}) {
  const size_t count = config.levels.size();
  if (config.added)
    added_embedding_.emplace(weights / "add_embedding", config.added->input_width, time_width(config));
  if (config.scale_width)
    scale_projection_.emplace(weights / "time_embedding" / "cond_proj", *config.scale_width,
                              config.levels.front().channels, nn::Bias::kNo);
  for (size_t i = 0; i < count; ++i) {
    down_.emplace_back(weights / "down_blocks" / i, config, i, times_);
  }
  if (config.middle != UNetMiddle::kNone) mid_.emplace(weights / "mid_block", config, times_);
  for (size_t i = 0; i < count; ++i) {
    const size_t level = count - 1 - i;
    up_.emplace_back(weights / "up_blocks" / i, config, level, times_);
  }
  times_.close();
}

PreparedWords UNet::prepare(const Conditioning& conditioning) const {
  PreparedWords words;
  words.rows = conditioning.context.size(0);
  for (const DownBlock& block : down_) block.prepare(conditioning.context, words.keys_values);
  if (mid_) mid_->prepare(conditioning.context, words.keys_values);
  for (const UpBlock& block : up_) block.prepare(conditioning.context, words.keys_values);
  if (added_embedding_) words.added = embed_added(conditioning);
  if (scale_projection_) words.scale = embed_scale(conditioning);
  return words;
}

at::Tensor UNet::times(const at::Tensor& timesteps, const PreparedWords& words) const {
  const at::Tensor here = timesteps.to(placement_.device, timesteps.scalar_type(), /*non_blocking=*/true);
  at::Tensor time = sinusoid(here, config_.levels.front().channels, placement_.dtype);  // [M, C0]
  time = time.unsqueeze(1);
  if (words.scale.defined()) time = time + words.scale;  // [M, N, C0]
  time = time_embedding_(time);                          // [M, 1 or N, 4 C0]
  if (words.added.defined()) time = time + words.added;
  return times_(kernels::silu(time)).expand({-1, words.rows, -1});
}

at::Tensor UNet::operator()(const at::Tensor& latents, const at::Tensor& times,
                            const PreparedWords& words) const {
  nn::PreparedReader reader(words.keys_values);
  nn::LoneTokens lone(perturbed_of(words.changes));
  BlockInput input{times, reader, lone, {}};
  at::Tensor x = conv_in_(latents);  // [N, C0, H, W]
  std::vector<at::Tensor> skips{x};
  for (const DownBlock& block : down_) x = block(x, input, skips);  // [N, C_last, H / 2^(levels - 1), ...]
  if (mid_) x = (*mid_)(x, input);
  for (size_t i = 0; i < up_.size(); ++i) {
    input.free_u = i < kFreeUStages ? FreeUStage::of(words.changes, i) : std::nullopt;
    x = up_[i](x, input, skips);  // [N, C0, H, W] at last
  }
  return conv_out_(norm_out_(x));
}

at::Tensor UNet::sinusoid(const at::Tensor& values, int64_t width, at::ScalarType dtype) const {
  return kernels::sinusoidal_embedding(values, {width, config_.cosine_first, config_.freq_shift}).to(dtype);
}

/// SDXL's sizes and pooled words. [N, 4 C0]
at::Tensor UNet::embed_added(const Conditioning& conditioning) const {
  const at::ScalarType dtype = conditioning.pooled.scalar_type();
  const at::Tensor ids = sinusoid(conditioning.time_ids.flatten().to(conditioning.pooled.device()),
                                  config_.added->time_id_width, dtype);  // [6 N or 5 N, width]
  const at::Tensor sizes = ids.view({conditioning.time_ids.size(0), -1});
  return (*added_embedding_)(at::cat({conditioning.pooled, sizes}, 1));
}

/// "On Distillation of Guided Diffusion Models" (Meng et al. 2023). Mirrors LatentConsistencyModelPipeline's
/// get_guidance_scale_embedding, whose frequencies are not those of timesteps. [N, C0]
at::Tensor UNet::embed_scale(const Conditioning& conditioning) const {
  constexpr double kUnits = 1000;  // of timesteps
  const at::Tensor embedded =
      kernels::sinusoidal_embedding(kUnits * (conditioning.scale.to(conditioning.context.device()) - 1),
                                    {*config_.scale_width, /*cosine_first=*/false, 1});
  return (*scale_projection_)(embedded.to(conditioning.context.scalar_type()));
}

}  // namespace brume

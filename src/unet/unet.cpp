#include "brume/unet/unet.h"

#include <ATen/ATen.h>

#include "kernels/silu.h"
#include "kernels/timestep_embedding.h"

namespace brume {

namespace {

int64_t time_width(const UNetConfig& config) { return 4 * config.levels.front().channels; }

}  // namespace

UNet::UNet(const WeightsView& weights, const UNetConfig& config)
    : config_(config),
      conv_in_(weights / "conv_in", {config.in_channels, config.levels.front().channels}),
      time_embedding_(weights / "time_embedding", config.levels.front().channels, time_width(config)),
      norm_out_(weights / "conv_norm_out", config.levels.front().channels,
                {config.norm_groups, config.norm_eps, kernels::Activation::kSilu}),
      conv_out_(weights / "conv_out", {config.levels.front().channels, config.out_channels}) {
  const size_t count = config.levels.size();
  if (config.added)
    added_embedding_.emplace(weights / "add_embedding", config.added->input_width, time_width(config));
  for (size_t i = 0; i < count; ++i) {
    down_.emplace_back(weights / "down_blocks" / i, config, i,
                       i + 1 < count ? Resample::kYes : Resample::kNo);
  }
  if (config.mid_block) mid_.emplace(weights / "mid_block", config);
  for (size_t i = 0; i < count; ++i) {
    const size_t level = count - 1 - i;
    up_.emplace_back(weights / "up_blocks" / i, config, level, level > 0 ? Resample::kYes : Resample::kNo);
  }
}

at::Tensor UNet::operator()(const at::Tensor& latents, const at::Tensor& timesteps,
                            const Conditioning& conditioning) const {
  const BlockInput input{embed_time(timesteps, conditioning, latents.scalar_type()), conditioning.context};
  at::Tensor x = conv_in_(latents);  // [N, C0, H, W]
  std::vector<at::Tensor> skips{x};
  for (const DownBlock& block : down_) x = block(x, input, skips);  // [N, C_last, H / 2^(levels - 1), ...]
  if (mid_) x = (*mid_)(x, input);
  for (const UpBlock& block : up_) x = block(x, input, skips);  // [N, C0, H, W]
  return conv_out_(norm_out_(x));
}

at::Tensor UNet::embed_time(const at::Tensor& timesteps, const Conditioning& conditioning,
                            at::ScalarType dtype) const {
  const auto sinusoid = [&](const at::Tensor& values, int64_t width) {
    return kernels::sinusoidal_embedding(values, {width, config_.cosine_first, config_.freq_shift}).to(dtype);
  };
  at::Tensor time = time_embedding_(sinusoid(timesteps, config_.levels.front().channels));  // [N, 4 C0]
  if (added_embedding_) {
    const at::Tensor ids =
        sinusoid(conditioning.time_ids.flatten(), config_.added->time_id_width);  // [6 N, width]
    const at::Tensor sizes = ids.view({conditioning.time_ids.size(0), -1});
    time = time + (*added_embedding_)(at::cat({conditioning.pooled, sizes}, 1));
  }
  return kernels::silu(time);  // every residual block begins with it
}

}  // namespace brume

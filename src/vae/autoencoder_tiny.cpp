#include "brume/vae/autoencoder_tiny.h"

#include <ATen/ATen.h>

#include <utility>

namespace brume {

namespace {

constexpr double kLatentRange = 3;  // beyond it latents are bent back, by tanh

std::vector<TinyBlock> blocks(const WeightsView& layers, size_t& layer, int64_t count, int64_t channels) {
  std::vector<TinyBlock> all;
  for (int64_t i = 0; i < count; ++i) all.emplace_back(layers / layer++ / "conv", channels);
  return all;
}

}  // namespace

TinyBlock::TinyBlock(const WeightsView& weights, int64_t channels)
    : conv0_(weights / "0", {channels, channels}),
      conv2_(weights / "2", {channels, channels}),
      conv4_(weights / "4", {channels, channels}) {}

void TinyBlock::operator()(at::Tensor& x) const { conv4_.add_relu_to(x, conv2_.relu(conv0_.relu(x))); }

AutoencoderTiny::AutoencoderTiny(const WeightsView& weights, const VaeConfig& config)
    : Autoencoder(weights, config) {
  if (this->config().has_encoder()) open_encoder(weights / "encoder" / "layers");
  open_decoder(weights / "decoder" / "layers");
}

void AutoencoderTiny::open_encoder(const WeightsView& layers) {
  const int64_t width = config().channels.front();
  size_t layer = 0;
  for (const int64_t count : config().tiny->encoder) {
    const WeightsView conv = layers / layer++;
    encoder_.push_back({layer == 1
                            ? nn::Conv2d(conv, {config().picture_channels, width})
                            : nn::Conv2d(conv, {width, width, /*kernel=*/3, /*stride=*/2}, nn::Bias::kNo),
                        blocks(layers, layer, count, width)});
  }
  encoder_out_.emplace(layers / layer, nn::ConvShape{width, config().latent_channels});
}

void AutoencoderTiny::open_decoder(const WeightsView& layers) {
  const std::vector<int64_t>& counts = config().tiny->decoder;
  const int64_t width = config().channels.front();
  decoder_in_.emplace(layers / size_t{0}, nn::ConvShape{config().latent_channels, width});
  size_t layer = 2;  // 1 is the activation
  for (size_t i = 0; i < counts.size(); ++i) {
    DecoderLevel level{blocks(layers, layer, counts[i], width), {}};
    if (i + 1 < counts.size()) {
      ++layer;  // the enlargement, which has no weights
      level.upsample.emplace(layers / layer++, width, nn::Bias::kNo);
    }
    decoder_.push_back(std::move(level));
  }
  decoder_out_.emplace(layers / layer, nn::ConvShape{width, config().picture_channels});
}

at::Tensor AutoencoderTiny::encoded(const at::Tensor& pictures) const {
  at::Tensor x = (pictures + 1) / 2;  // it knows pictures in [0, 1]
  for (const EncoderLevel& level : encoder_) {
    x = level.conv(x);
    for (const TinyBlock& block : level.blocks) block(x);
  }
  return (*encoder_out_)(x);
}

LatentDistribution AutoencoderTiny::distribution(const at::Tensor& encoded) const { return {encoded, {}}; }

at::Tensor AutoencoderTiny::decode(const at::Tensor& latents) const {
  at::Tensor x = decoder_in_->relu(at::tanh(latents / kLatentRange) * kLatentRange);
  for (const DecoderLevel& level : decoder_) {
    for (const TinyBlock& block : level.blocks) block(x);
    if (level.upsample) x = (*level.upsample)(x, 2 * x.size(2), 2 * x.size(3));
  }
  return (*decoder_out_)(x)*2 - 1;
}

}  // namespace brume

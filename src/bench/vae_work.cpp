#include "layer_work.h"

namespace brume::bench {

namespace {

Work mid_work(const VaeConfig& vae, double area) {
  const auto width = static_cast<double>(vae.channels.back());
  const Work block = resnet_work(width, width, 0, area);
  if (!vae.mid_attention) return block + block;
  Work attention = norm_work(width) + attention_work(width, area, area);
  for (int projection = 0; projection < 4; ++projection) attention += linear_work(width, width, area);
  return block + attention + block;
}

Work tiny_blocks_work(int64_t count, double width, double area) {
  Work work;
  for (int64_t i = 0; i < 3 * count; ++i) work += convolution_work(width, width, 3, area);
  return work;
}

Work tiny_decode_work(const VaeConfig& vae, double area) {
  const auto width = static_cast<double>(vae.channels.front());
  Work work = convolution_work(static_cast<double>(vae.latent_channels), width, 3, area);
  for (size_t i = 0; i < vae.channels.size(); ++i) {
    if (i > 0) {
      area *= 4;
      work += convolution_work(width, width, 3, area, /*bias=*/false);
    }
    work += tiny_blocks_work(vae.tiny->decoder[i], width, area);
  }
  return work + convolution_work(width, static_cast<double>(vae.picture_channels), 3, area);
}

Work tiny_encode_work(const VaeConfig& vae, double area) {
  const auto width = static_cast<double>(vae.channels.front());
  const auto factor = static_cast<double>(vae.factor());
  area *= factor * factor;
  Work work = convolution_work(static_cast<double>(vae.picture_channels), width, 3, area);
  for (size_t i = 0; i < vae.channels.size(); ++i) {
    if (i > 0) {
      area /= 4;
      work += convolution_work(width, width, 3, area, /*bias=*/false);
    }
    work += tiny_blocks_work(vae.tiny->encoder[i], width, area);
  }
  return work + convolution_work(width, static_cast<double>(vae.latent_channels), 3, area);
}

}  // namespace

Work decode_work(const VaeConfig& vae, MapSize latents) {
  if (vae.tiny) return tiny_decode_work(vae, latents.area());
  const auto latent = static_cast<double>(vae.latent_channels);
  auto in = static_cast<double>(vae.channels.back());
  double area = latents.area();
  Work work = convolution_work(latent, in, 3, area) + mid_work(vae, area);
  if (vae.post_quant_conv) work += convolution_work(latent, latent, 1, area);
  for (size_t i = vae.channels.size(); i-- > 0;) {
    const auto out = static_cast<double>(vae.channels[i]);
    for (int64_t layer = 0; layer <= vae.layers; ++layer)
      work += resnet_work(layer == 0 ? in : out, out, 0, area);
    if (i > 0) {
      area *= 4;
      work += convolution_work(out, out, 3, area);
    }
    in = out;
  }
  return work + norm_work(in) + convolution_work(in, static_cast<double>(vae.picture_channels), 3, area);
}

Work encode_work(const VaeConfig& vae, MapSize latents) {
  if (!vae.has_encoder()) return {};
  if (vae.tiny) return tiny_encode_work(vae, latents.area());
  const auto moments = static_cast<double>(2 * vae.latent_channels);
  const auto factor = static_cast<double>(vae.factor());
  double area = latents.area() * factor * factor;
  auto in = static_cast<double>(vae.channels.front());
  Work work = convolution_work(static_cast<double>(vae.picture_channels), in, 3, area);
  for (size_t i = 0; i < vae.channels.size(); ++i) {
    const auto out = static_cast<double>(vae.channels[i]);
    for (int64_t layer = 0; layer < vae.layers; ++layer)
      work += resnet_work(layer == 0 ? in : out, out, 0, area);
    if (i + 1 < vae.channels.size()) {
      area /= 4;
      work += convolution_work(out, out, 3, area);
    }
    in = out;
  }
  if (vae.quant_conv) work += convolution_work(moments, moments, 1, area);
  return work + mid_work(vae, area) + norm_work(in) + convolution_work(in, moments, 3, area);
}

}  // namespace brume::bench

#include "brume/pipeline/picture_inputs.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <string>
#include <vector>

#include "brume/base/noise.h"
#include "brume/image/resize.h"
#include "brume/pipeline/pipeline.h"
#include "finite.h"

namespace brume {

namespace {

/// A picture file at the size of a request, [1, 3, H, W] fp32 in [-1, 1]. Mirrors VaeImageProcessor's
/// preprocess.
at::Tensor picture_tensor(const PictureFile& file, const Request& request) {
  const PngSize size{static_cast<int>(request.width), static_cast<int>(request.height)};
  const Picture picture = resize_lanczos(read_picture(file), size);
  const at::Tensor bytes = at::tensor(at::ArrayRef<uint8_t>(picture.pixels), at::kByte)
                               .view({picture.height, picture.width, 3})
                               .permute({2, 0, 1})
                               .unsqueeze(0);
  return 2 * (bytes.to(at::kFloat) / 255) - 1;
}

}  // namespace

LatentDistribution Pipeline::encode(const Request& request, const at::Tensor& pictures) const {
  const auto encode_with = [&](const Autoencoder& vae) {
    const at::Tensor input = pictures.to(vae.dtype());
    const LatentDistribution encoded = request.decode == DecodeMode::kTiled
                                           ? vae.encode_tiled(input, vae.default_tile())
                                           : vae.encode(input);
    const at::Tensor& variance = encoded.log_variance;
    return LatentDistribution{encoded.mean.to(at::kFloat),
                              variance.defined() ? variance.to(at::kFloat) : variance};
  };
  LatentDistribution encoded = encode_with(*vae_);
  if (vae_->dtype() == at::kFloat || finite_rows(encoded.mean).front()) return encoded;
  std::vector<std::string> said_before;
  return encode_with(*open_vae(at::kFloat, said_before));
}

PictureInputs Pipeline::picture_inputs(const Request& request) const {
  const c10::InferenceMode guard;
  PictureInputs inputs;
  if (request.edit) inputs.picture = encode(request, picture_tensor(request.edit->picture, request));
  return inputs;
}

PictureMaterial Pipeline::material(const Request& request, Observer& observer) const {
  return {words(request, observer), picture_inputs(request)};
}

/// As the UNet sees them, [N, C, h, w].
at::Tensor Pipeline::drawn_from(const LatentDistribution& encoded,
                                const std::function<at::Tensor()>& normal) const {
  if (!encoded.log_variance.defined()) return vae_->to_unet(encoded.mean);
  return vae_->to_unet(encoded.mean + at::exp(0.5 * encoded.log_variance) * normal());
}

Beginning Pipeline::beginning(const Request& request, const PictureInputs& inputs, Noise& noise) const {
  const c10::InferenceMode guard;
  const auto normal = [&] { return noise.normal(model_.latent_sizes(request)); };
  if (request.init_latents) return {request.init_latents->to(at::kFloat)};
  if (!inputs.picture) return {normal()};
  const at::Tensor picture = drawn_from(*inputs.picture, normal);  // drawn first, as diffusers does
  return {normal(), picture};
}

}  // namespace brume

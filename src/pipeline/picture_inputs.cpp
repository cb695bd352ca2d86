#include "brume/pipeline/picture_inputs.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/noise.h"
#include "brume/image/resize.h"
#include "brume/pipeline/pipeline.h"
#include "finite.h"
#include "with_room.h"

namespace brume {

namespace {

/// The strength at which nothing of a masked picture is in what its walk begins with: is_strength_max of
/// diffusers' inpainting pipelines.
constexpr double kFromNoise = 1;

/// A picture file at the size of a request, [3, H, W] of bytes.
at::Tensor picture_bytes(const PictureFile& file, const Request& request) {
  const PngSize size{static_cast<int>(request.width), static_cast<int>(request.height)};
  const Picture picture = resize_lanczos(read_picture(file), size);
  return at::tensor(at::ArrayRef<uint8_t>(picture.pixels), at::kByte)
      .view({picture.height, picture.width, 3})
      .permute({2, 0, 1});
}

/// As the autoencoder sees it, [1, 3, H, W] fp32 in [-1, 1]. Mirrors VaeImageProcessor's preprocess.
at::Tensor picture_tensor(const at::Tensor& bytes) {
  return 2 * (bytes.unsqueeze(0).to(at::kFloat) / 255) - 1;
}

/// A map of pixels [1, H, W] as one of latents: interpolation to the nearest takes the first of each square.
at::Tensor nearest(const at::Tensor& pixels, int64_t factor) {
  return pixels.slice(1, 0, std::nullopt, factor).slice(2, 0, std::nullopt, factor).contiguous();
}

/// Where a mask [3, H, W] of bytes is white, [1, H, W] of bools: its grey, as Pillow makes it, from the
/// middle on. Mirrors VaeImageProcessor's preprocess with do_binarize.
at::Tensor white_of(const at::Tensor& bytes) {
  constexpr int kUnit = 65536;
  constexpr int kMiddle = 128;  // the least value that is half of 255 or more
  const at::Tensor colours = bytes.to(at::kInt);
  const at::Tensor grey = 19595 * colours[0] + 38470 * colours[1] + 7471 * colours[2] + kUnit / 2;
  return (grey >= kMiddle * kUnit).unsqueeze(0);
}

/// What the recipe says of a mask that leaves all of the picture, or nothing.
void note_cover(MaskCover cover, std::vector<std::string>& notes) {
  if (cover == MaskCover::kNothing) add_note(notes, "mask black");
  if (cover == MaskCover::kAll) add_note(notes, "mask white");
}

}  // namespace

EditedPixels read_pixels(const Request& request) {
  EditedPixels pixels{picture_bytes(request.edit->picture, request), {}};
  if (request.edit->mask) pixels.mask = white_of(picture_bytes(*request.edit->mask, request));
  return pixels;
}

MaskCover cover_of(const EditedPixels& pixels) {
  if (!pixels.mask.defined()) return MaskCover::kPart;
  if (!pixels.mask.any().item<bool>()) return MaskCover::kNothing;
  return pixels.mask.all().item<bool>() ? MaskCover::kAll : MaskCover::kPart;
}

LatentDistribution Pipeline::encode(const Request& request, const at::Tensor& pictures,
                                    PictureInputs& inputs) const {
  LatentDistribution encoded = encode_with(networks_->vae(), request, pictures, inputs.notes);
  if (vae_dtype() == at::kFloat || finite_rows(encoded.mean).front()) return encoded;
  encoded = encode_with(networks_->exact_vae(), request, pictures, inputs.notes);
  add_note(inputs.notes, kVaeFallbackNote);
  return encoded;
}

LatentDistribution Pipeline::encode_with(Streamable<Autoencoder>& vae, const Request& request,
                                         const at::Tensor& pictures, std::vector<std::string>& notes) const {
  const int64_t tile = model_.vae().default_tile();
  const auto encoded = [&](DecodeMode mode) {
    return vae.use([&](const Autoencoder& one) {
      const at::Tensor input = pictures.to(placement_.device, one.dtype());
      const LatentDistribution there =
          mode == DecodeMode::kTiled ? one.encode_tiled(input, tile) : one.encode(input);
      const at::Tensor& variance = there.log_variance;
      return LatentDistribution{there.mean.to(at::kCPU, at::kFloat),
                                variance.defined() ? variance.to(at::kCPU, at::kFloat) : variance};
    });
  };
  const auto whole = [&] { return encoded(DecodeMode::kWhole); };
  const auto tiled = [&] { return encoded(DecodeMode::kTiled); };
  try {
    with_room(*networks_, vae,
              [](const Autoencoder& /*is open*/) {});  // for which no picture is cut to tiles
    const int64_t side = tile * model_.vae().factor();
    const bool is_a_tile = pictures.size(2) <= side && pictures.size(3) <= side;
    if (request.decode == DecodeMode::kTiled || is_a_tile) return with_room(*networks_, tiled);
    return whole_or_tiled(*networks_, whole, tiled, notes);
  } catch (const c10::OutOfMemoryError&) {
    throw no_room_for_vae(request, "encoding a picture");
  }
}

PictureInputs Pipeline::picture_inputs(const Request& request) const {
  return request.edit ? picture_inputs(request, read_pixels(request)) : PictureInputs{};
}

PictureInputs Pipeline::picture_inputs(const Request& request, const EditedPixels& pixels) const {
  const c10::InferenceMode guard;
  PictureInputs inputs;
  const PictureEdit& edit = *request.edit;
  const bool inpaints = model_.task() == ModelTask::kInpaint;
  note_cover(cover_of(pixels), inputs.notes);
  const at::Tensor picture = picture_tensor(pixels.picture);
  if (!inpaints || edit.strength != kFromNoise) inputs.picture = encode(request, picture, inputs);
  if (!edit.mask) return inputs;
  inputs.masked = pixels;
  if (inpaints) inputs.left = encode(request, picture * inputs.masked->mask.logical_not(), inputs);
  return inputs;
}

PictureMaterial Pipeline::material(const Request& request, RecentPrompts& recent) const {
  Observer unseen;
  return {words(request, recent, unseen), picture_inputs(request)};
}

/// As the UNet sees them, [N, C, h, w].
at::Tensor Pipeline::drawn_from(const LatentDistribution& encoded,
                                const std::function<at::Tensor()>& normal) const {
  const at::Tensor& variance = encoded.log_variance;
  const at::Tensor drawn =
      variance.defined() ? encoded.mean + at::exp(0.5 * variance) * normal() : encoded.mean;
  return with_room(*networks_, networks_->vae(), [&](const Autoencoder& vae) { return vae.to_unet(drawn); });
}

PictureStart Pipeline::start(const Request& request, const PictureInputs& inputs, Noise& noise) const {
  const c10::InferenceMode guard;
  PictureStart begun = start_here(request, inputs, noise);
  Beginning& beginning = begun.beginning;
  beginning.noise = placed(beginning.noise);
  beginning.picture = placed(beginning.picture);
  if (beginning.kept) {
    KeptPart& kept = *beginning.kept;
    kept = {placed(kept.mask), placed(kept.picture), placed(kept.noise)};
  }
  begun.beside = placed(begun.beside);
  return begun;
}

/// On the CPU, as noise is drawn there.
PictureStart Pipeline::start_here(const Request& request, const PictureInputs& inputs, Noise& noise) const {
  const auto normal = [&] { return noise.normal(model_.latent_sizes(request)); };
  PictureStart begun;
  if (request.init_latents) {
    begun.beginning.noise = request.init_latents->to(at::kFloat);
    return begun;
  }
  const bool seen_beside = model_.task() == ModelTask::kEdit;
  // In diffusers' order: the picture, the noise, and what the mask leaves.
  if (inputs.picture && !seen_beside) begun.beginning.picture = drawn_from(*inputs.picture, normal);
  begun.beginning.noise = normal();
  if (inputs.picture && seen_beside) {
    // Its most likely latents, at the autoencoder's own scale.
    const auto count = static_cast<int64_t>(request.seeds.size());
    begun.beside = inputs.picture->mean.expand({count, -1, -1, -1});
  }
  if (!inputs.masked) return begun;
  const at::Tensor mask = nearest(inputs.masked->mask, model_.factor()).unsqueeze(0);  // [1, 1, h, w]
  if (inputs.left) {
    const at::Tensor left = drawn_from(*inputs.left, normal);
    begun.beside = at::cat({mask.to(at::kFloat).expand({left.size(0), -1, -1, -1}), left}, 1);
  } else {
    if (inputs.picture->log_variance.defined()) normal();  // for what the mask leaves, which it does not see
    begun.beginning.kept = KeptPart{mask, begun.beginning.picture, begun.beginning.noise};
    if (request.edit && request.edit->strength == kFromNoise) begun.beginning.picture.reset();
  }
  return begun;
}

}  // namespace brume

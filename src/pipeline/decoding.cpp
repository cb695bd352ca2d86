#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brume/pipeline/pipeline.h"
#include "finite.h"
#include "no_room.h"
#include "with_room.h"

namespace brume {

namespace {

/// [3, H, W] in about [-1, 1] -> one picture, rounded as diffusers rounds. What a mask leaves is as it was:
/// the autoencoder alone would change it.
Picture to_picture(const at::Tensor& decoded, const std::optional<EditedPixels>& masked) {
  at::Tensor bytes = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().to(at::kByte);
  if (masked) bytes = at::where(masked->mask.to(bytes.device()), bytes, masked->picture.to(bytes.device()));
  bytes = bytes.permute({1, 2, 0}).contiguous().cpu();
  Picture picture{static_cast<int>(bytes.size(1)), static_cast<int>(bytes.size(0)), {}};
  const uint8_t* values = bytes.const_data_ptr<uint8_t>();
  picture.pixels.assign(values, values + bytes.numel());
  return picture;
}

}  // namespace

PictureResult Pipeline::decode(const Request& request, const at::Tensor& latents,
                               const PictureInputs& inputs) const {
  const c10::InferenceMode guard;
  FiniteCheck finite(1, gpu());
  Observer unseen;
  return std::move(decode_all(request, latents, inputs, finite, unseen).front());
}

std::vector<PictureResult> Pipeline::decode_all(const Request& request, const at::Tensor& latents,
                                                const PictureInputs& inputs, FiniteCheck& finite,
                                                Observer& observer) const {
  std::vector<PictureResult> pictures;
  std::vector<at::Tensor> all;
  for (size_t i = 0; i < request.seeds.size(); ++i) {
    PictureResult result;
    result.seed = request.seeds[i];
    result.notes = inputs.notes;
    const at::Tensor row = latents.narrow(0, static_cast<int64_t>(i), 1);
    all.push_back(decode_one(networks_->vae(), request, row, result.notes));
    const bool sound = finite_rows(all.back()).front();
    if (!sound && finite.failed_stage(i).empty() && vae_dtype() != at::kFloat) {
      all.back() = decode_one(networks_->exact_vae(), request, row, result.notes);
      add_note(result.notes, kVaeFallbackNote);
    }
    if (networks_->any_streamed()) add_note(result.notes, kWeightsStreamedNote);
    pictures.push_back(std::move(result));
  }
  const at::Tensor decoded = at::cat(all);  // [N, 3, H, W]
  observer.on_stage("decoded", decoded);
  finite.look(decoded, "decoded picture");
  for (size_t i = 0; i < pictures.size(); ++i) {
    pictures[i].failed_stage = finite.failed_stage(i);
    if (pictures[i].failed_stage.empty())
      pictures[i].picture = to_picture(decoded[static_cast<int64_t>(i)], inputs.masked);
  }
  return pictures;
}

/// One picture at a time, as the autoencoder needs far more memory than the UNet: [1, 3, H, W] fp32.
at::Tensor Pipeline::decode_one(Streamable<Autoencoder>& vae, const Request& request,
                                const at::Tensor& latents, std::vector<std::string>& notes) const {
  const int64_t tile = model_.vae().default_tile();
  const auto decoded = [&](DecodeMode mode) {
    return vae.use([&](const Autoencoder& one) {
      const at::Tensor scaled = one.from_unet(latents).to(placement_.device, one.dtype());
      return (mode == DecodeMode::kTiled ? one.decode_tiled(scaled, tile) : one.decode(scaled))
          .to(at::kFloat);
    });
  };
  const auto whole = [&] { return decoded(DecodeMode::kWhole); };
  const auto tiled = [&] { return decoded(DecodeMode::kTiled); };
  try {
    with_room(*networks_, vae,
              [](const Autoencoder& /*is open*/) {});  // for which no picture is cut to tiles
    const bool is_a_tile = latents.size(2) <= tile && latents.size(3) <= tile;
    if (request.decode == DecodeMode::kTiled || is_a_tile) return with_room(*networks_, tiled);
    return whole_or_tiled(*networks_, whole, tiled, notes);
  } catch (const c10::OutOfMemoryError&) {
    throw no_room_for_vae(request, "decoding");
  }
}

/// Which was last tried by tiles.
Error Pipeline::no_room_for_vae(const Request& request, const std::string& work) const {
  Request least = request;
  least.seeds.resize(1);
  least.decode = DecodeMode::kTiled;
  const double free = gpu_ ? static_cast<double>(gpu_->free_memory()) : 0;
  return no_room(work, model_.decode_bytes(least, vae_dtype()), free, "use a smaller size or --device cpu");
}

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "brume/diffusion/samplers.h"
#include "brume/pipeline/picture_words.h"
#include "brume/pipeline/request.h"
#include "brume/vae/autoencoder.h"

namespace brume {

/// A picture at the size of a request, and where it is drawn anew.
struct EditedPixels {
  at::Tensor picture;  // [3, H, W] of bytes
  at::Tensor mask;     // [1, H, W] of bools; undefined where there is none
};

/// Reads the pictures of a request that has some. Throws kInputInvalid for a file that cannot be read, or is
/// not what it was when it was looked at.
EditedPixels read_pixels(const Request& request);

/// How much of the picture is drawn anew: what else but a part of it somebody may not have meant.
enum class MaskCover { kPart, kNothing, kAll };
/// Where there is no mask, all of it is meant, and the cover kPart.
MaskCover cover_of(const EditedPixels& pixels);

/// What the pictures that a request names come to, before any noise: the same for all of its seeds.
struct PictureInputs {
  std::optional<LatentDistribution> picture;  // that is changed; [1, C, h, w] fp32
  std::optional<LatentDistribution> left;     // what the mask leaves of it, where the UNet sees that
  std::optional<EditedPixels> masked;         // where there is a mask
  std::vector<std::string> notes;             // of it, and of how they were encoded, for the recipes
};

/// What a request's pictures begin with.
struct PictureStart {
  Beginning beginning;
  at::Tensor beside;  // what the UNet sees beside the latents, [N, in_channels - C, h, w] fp32; or undefined
};

/// All that a picture is drawn from.
struct PictureMaterial {
  PictureWords words;
  PictureInputs inputs;
};

}  // namespace brume

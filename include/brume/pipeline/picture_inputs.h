#pragma once
#include <optional>

#include "brume/pipeline/picture_words.h"
#include "brume/vae/autoencoder.h"

namespace brume {

/// What the pictures that a request names come to, before any noise: the same for all of its seeds.
struct PictureInputs {
  std::optional<LatentDistribution> picture;  // that is changed; [1, C, h, w] fp32
};

/// All that a picture is drawn from.
struct PictureMaterial {
  PictureWords words;
  PictureInputs inputs;
};

}  // namespace brume

#pragma once

namespace brume {

/// What a model is for, mostly by what its UNet reads beside the latents.
enum class ModelTask {
  kDraw,     // nothing: words make pictures, and change them
  kRefine,   // nothing: it finishes pictures, and draws none of its own (SDXL's refiner)
  kInpaint,  // a mask, and what it leaves of a picture: a part of that is drawn anew
  kEdit,     // a picture: it is changed as the words say (instruct-pix2pix)
};

}  // namespace brume

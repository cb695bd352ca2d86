#pragma once
#include <string>
#include <vector>

#include "brume/batch/picture_name.h"
#include "brume/image/png.h"

namespace brume::testing {

/// The number-th job of the tests, from 1.
inline batch::PictureLabel label_of(int number) {
  batch::PictureLabel label;
  label.index = label.line = number;
  label.id = "job" + std::to_string(number);
  label.recipe.prompt = "picture number " + std::to_string(number);
  label.recipe.width = label.recipe.height = 16;
  label.recipe.seed = static_cast<uint64_t>(number) * 1000;
  label.recipe.sampling.sampler = "ddim";
  label.recipe.sampling.steps = 4;
  label.recipe.engine.dtype = "fp32";
  label.recipe.engine.device = "cpu";
  label.key = batch::job_key(label.recipe, "model");
  label.recipe.key = label.key.hex();
  return label;
}

/// Its picture, always with the same bytes.
inline std::vector<std::byte> png_of(const batch::PictureLabel& label) {
  Picture picture{label.recipe.width, label.recipe.height, {}};
  auto state = static_cast<uint32_t>(label.recipe.seed);
  for (int i = 0; i < 3 * picture.width * picture.height; ++i) {
    state = state * 1664525 + 1013904223;
    picture.pixels.push_back(static_cast<uint8_t>(state >> 24));
  }
  return encode_png(picture, recipe_texts(label.recipe));
}

}  // namespace brume::testing

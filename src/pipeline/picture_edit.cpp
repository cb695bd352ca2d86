#include "picture_edit.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "brume/base/error.h"
#include "brume/diffusion/samplers.h"

namespace brume {

namespace {

constexpr double kUsualStrength = 0.75;  // A1111's, and stable-diffusion.cpp's

int64_t whole_multiple(double length, int64_t factor) {
  return std::max(static_cast<int64_t>(length / static_cast<double>(factor)), int64_t{1}) * factor;
}

/// Of a side that follows the other one, to the nearest multiple.
int64_t following(int64_t said, int own, int own_other, int64_t factor) {
  const double length = static_cast<double>(said) * own / own_other;
  return std::min(whole_multiple(length + static_cast<double>(factor) / 2, factor), kMostSide);
}

}  // namespace

std::optional<PictureEdit> edit_of(const PictureSettings& settings) {
  if (settings.init_img.value_or("").empty()) {
    if (!settings.strength) return {};
    throw Error(ExitCode::kUsage, "--strength", "there is no picture to change",
                "name one with --init-img, or leave it out");
  }
  return PictureEdit{look_at_picture(*settings.init_img, "--init-img"),
                     settings.strength.value_or(kUsualStrength)};
}

PngSize edited_size(PngSize own, const PictureSettings& settings, int64_t factor) {
  int64_t width = settings.width.value_or(0);
  int64_t height = settings.height.value_or(0);
  if (!settings.width && !settings.height) {
    width = whole_multiple(own.width, factor);
    height = whole_multiple(own.height, factor);
  } else if (!settings.width) {
    width = following(height, own.width, own.height, factor);
  } else if (!settings.height) {
    height = following(width, own.height, own.width, factor);
  }
  return {static_cast<int>(width), static_cast<int>(height)};
}

int64_t first_step_of(const PictureEdit& edit, int64_t steps) {
  const int64_t first = first_step_of(steps, edit.strength);
  if (first < steps) return first;
  std::ostringstream option;
  option << "--strength " << edit.strength;
  throw Error(ExitCode::kUsage, option.str(), "leaves none of " + std::to_string(steps) + " steps to take",
              "make it or --steps larger");
}

}  // namespace brume

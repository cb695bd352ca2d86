#include "brume/bench/picture_error.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace brume::bench {

void PictureError::add(const Picture& picture, const Picture& reference) {
  const size_t count = std::min(picture.pixels.size(), reference.pixels.size());
  for (size_t i = 0; i < count; ++i) {
    const int difference = std::abs(int{picture.pixels[i]} - int{reference.pixels[i]});
    max_abs_ = std::max(max_abs_, difference);
    squares_ += difference * difference;
  }
  values_ += static_cast<int64_t>(count);
  ++pictures_;
}

std::optional<double> PictureError::psnr() const {
  constexpr double kPeak = 255;
  if (squares_ == 0) return {};
  return 10 * std::log10(kPeak * kPeak * static_cast<double>(values_) / squares_);
}

}  // namespace brume::bench

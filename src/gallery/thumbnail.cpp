#include "brume/gallery/thumbnail.h"

#include <algorithm>
#include <cmath>

#include "brume/image/jpeg.h"
#include "brume/image/resize.h"

namespace brume::gallery {

namespace {

constexpr size_t kPageBytes = size_t{64} << 20;
constexpr double kUsualBytesAPixel = 0.4;  // at the best quality; detailed pictures take more
constexpr int kLargestSide = 256;
constexpr int kSmallestSide = 48;
constexpr int kBestQuality = 82;
constexpr int kLeastQuality = 34;
constexpr int kQualityStep = 16;

}  // namespace

Thumbnails::Thumbnails(size_t count)
    : most_bytes_(kPageBytes / 4 * 3 / std::max<size_t>(count, 1)),  // base64 takes four bytes for three
      longest_side_(
          std::clamp(static_cast<int>(std::sqrt(static_cast<double>(most_bytes_) / kUsualBytesAPixel)),
                     kSmallestSide, kLargestSide)) {}

Thumbnail Thumbnails::of(const Picture& picture) const {
  for (int side = longest_side_;; side = std::max(side * 3 / 4, kSmallestSide)) {
    const PngSize size = fit_within({picture.width, picture.height}, {side, side});
    const Picture small = resize_box(picture, size);
    for (int quality = kBestQuality; quality >= kLeastQuality; quality -= kQualityStep) {
      Thumbnail thumbnail{size, encode_jpeg(small, quality)};
      const bool last = quality - kQualityStep < kLeastQuality && side == kSmallestSide;
      if (thumbnail.jpeg.size() <= most_bytes_ || last) return thumbnail;
    }
  }
}

}  // namespace brume::gallery

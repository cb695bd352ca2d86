#include "brume/image/resize.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace brume {

namespace {

constexpr int64_t kChannels = 3;

/// Calls `visit(i, share)` for the old pixels that new pixel `j` of a side covers. Both sides are cut into
/// from * to parts: an old pixel has `to` of them and a new one `from`, so that all shares are whole.
template <class Visit>
void each_covered(int64_t j, int64_t from, int64_t to, Visit visit) {
  const int64_t begin = j * from;
  const int64_t end = begin + from;
  for (int64_t i = begin / to; i * to < end; ++i)
    visit(i, std::min(end, (i + 1) * to) - std::max(begin, i * to));
}

/// A row of `from` pixels as one of `to`, each `from` times its mean.
void narrow_row(const uint8_t* row, int64_t from, int64_t to, std::vector<uint32_t>& sums) {
  std::fill(sums.begin(), sums.end(), 0);
  for (int64_t j = 0; j < to; ++j) {
    each_covered(j, from, to, [&](int64_t i, int64_t share) {
      for (int64_t c = 0; c < kChannels; ++c)
        sums[static_cast<size_t>(j * kChannels + c)] += static_cast<uint32_t>(share) * row[i * kChannels + c];
    });
  }
}

}  // namespace

PngSize fit_within(PngSize size, PngSize most) {
  const int64_t width = size.width;
  const int64_t height = size.height;
  const auto side = [](int64_t length) { return static_cast<int>(std::max<int64_t>(1, length)); };
  if (width <= most.width && height <= most.height) return size;
  if (width * most.height >= height * most.width) return {most.width, side(height * most.width / width)};
  return {side(width * most.height / height), most.height};
}

Picture resize_box(const Picture& picture, PngSize size) {
  if (picture.width == size.width && picture.height == size.height) return picture;
  const int64_t row_length = kChannels * picture.width;
  const uint64_t area = static_cast<uint64_t>(picture.width) * static_cast<uint64_t>(picture.height);
  const size_t values = static_cast<size_t>(kChannels * size.width);
  Picture resized{size.width, size.height, {}};
  resized.pixels.reserve(values * static_cast<size_t>(size.height));
  std::vector<uint32_t> narrow(values);
  std::vector<uint64_t> sums(values);
  for (int64_t y = 0; y < size.height; ++y) {
    std::fill(sums.begin(), sums.end(), 0);
    each_covered(y, picture.height, size.height, [&](int64_t i, int64_t share) {
      narrow_row(picture.pixels.data() + i * row_length, picture.width, size.width, narrow);
      for (size_t k = 0; k < values; ++k) sums[k] += static_cast<uint64_t>(share) * narrow[k];
    });
    for (const uint64_t sum : sums) resized.pixels.push_back(static_cast<uint8_t>((sum + area / 2) / area));
  }
  return resized;
}

}  // namespace brume

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

#include "brume/image/resize.h"

namespace brume {

namespace {

constexpr int64_t kChannels = 3;
constexpr double kLobes = 3;
constexpr double kHalf = 0.5;      // rounds what is positive, as Pillow does
constexpr int kFractionBits = 22;  // of a weight, so that a sum of them times 255 fits 32 bits

double sinc(double x) {
  if (x == 0) return 1;
  const double angle = x * std::numbers::pi;
  return std::sin(angle) / angle;
}

double lanczos(double x) { return x >= -kLobes && x < kLobes ? sinc(x) * sinc(x / kLobes) : 0; }

/// What one new value is made of: old ones from `first` on, each by its weight.
struct Window {
  int64_t first;
  std::vector<int32_t> weights;
};

/// The windows of a side, by Pillow's operations in Pillow's order (Resample.c, precompute_coeffs).
std::vector<Window> windows(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0);
  const double reach = kLobes * stretch;
  std::vector<Window> all;
  all.reserve(static_cast<size_t>(to));
  for (int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<int64_t>(static_cast<int64_t>(centre - reach + kHalf), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(centre + reach + kHalf), from);
    std::vector<double> weights;
    weights.reserve(static_cast<size_t>(end - first));
    double sum = 0;
    for (int64_t k = first; k < end; ++k) {
      weights.push_back(lanczos((static_cast<double>(k) - centre + 0.5) * (1 / stretch)));
      sum += weights.back();
    }
    Window window{first, {}};
    window.weights.reserve(weights.size());
    for (const double weight : weights) {
      const double share = (sum == 0 ? weight : weight / sum) * (1 << kFractionBits);
      window.weights.push_back(static_cast<int32_t>(share + (share < 0 ? -0.5 : 0.5)));
    }
    all.push_back(std::move(window));
  }
  return all;
}

/// The sum over a window of values that lie `stride` apart, rounded.
uint8_t weighed(const Window& window, const uint8_t* values, int64_t stride) {
  int32_t sum = 1 << (kFractionBits - 1);
  for (size_t k = 0; k < window.weights.size(); ++k)
    sum += window.weights[k] * values[(window.first + static_cast<int64_t>(k)) * stride];
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

Picture with_width(const Picture& picture, int width) {
  const std::vector<Window> all = windows(picture.width, width);
  Picture resized{width, picture.height, {}};
  resized.pixels.reserve(static_cast<size_t>(kChannels * width) * static_cast<size_t>(picture.height));
  for (int64_t y = 0; y < picture.height; ++y) {
    const uint8_t* row = picture.pixels.data() + y * picture.width * kChannels;
    for (const Window& window : all) {
      for (int64_t c = 0; c < kChannels; ++c) resized.pixels.push_back(weighed(window, row + c, kChannels));
    }
  }
  return resized;
}

Picture with_height(const Picture& picture, int height) {
  const int64_t stride = kChannels * picture.width;
  Picture resized{picture.width, height, {}};
  resized.pixels.reserve(static_cast<size_t>(stride) * static_cast<size_t>(height));
  for (const Window& window : windows(picture.height, height)) {
    for (int64_t x = 0; x < stride; ++x)
      resized.pixels.push_back(weighed(window, picture.pixels.data() + x, stride));
  }
  return resized;
}

}  // namespace

Picture resize_lanczos(const Picture& picture, PngSize size) {
  const Picture wide = size.width == picture.width ? picture : with_width(picture, size.width);
  return size.height == picture.height ? wide : with_height(wide, size.height);
}

}  // namespace brume

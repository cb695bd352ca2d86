#include "exif.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace brume {

namespace {

/// Untrusted bytes in one byte order; what lies beyond their end is zero.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, bool most_significant_first)
      : bytes_(bytes), most_significant_first_(most_significant_first) {}

  uint64_t number(uint64_t offset, int length) const {
    uint64_t value = 0;
    for (int i = 0; i < length; ++i) {
      const int place = most_significant_first_ ? length - 1 - i : i;
      const uint64_t at = offset + static_cast<uint64_t>(i);
      const uint64_t byte = at < bytes_.size() ? std::to_integer<uint64_t>(bytes_[at]) : 0;
      value |= byte << (8 * place);
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool most_significant_first_;
};

bool starts_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin(),
                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

/// Of a TIFF header and what follows it.
Orientation orientation_in(std::span<const std::byte> tiff) {
  constexpr uint64_t kTag = 0x0112;
  constexpr uint64_t kEntry = 12;  // bytes
  if (!starts_with(tiff, "MM") && !starts_with(tiff, "II")) return Orientation::kUpright;
  const Reader read(tiff, starts_with(tiff, "MM"));
  const uint64_t directory = read.number(4, 4);
  const uint64_t entries = read.number(directory, 2);
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t entry = directory + 2 + i * kEntry;
    if (read.number(entry, 2) != kTag) continue;
    const uint64_t value = read.number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<Orientation>(value) : Orientation::kUpright;
  }
  return Orientation::kUpright;
}

bool turned(Orientation orientation) { return orientation >= Orientation::kTransposed; }

}  // namespace

Orientation jpeg_orientation(std::span<const std::byte> file) {
  using namespace std::string_view_literals;
  constexpr uint64_t kApp1 = 0xFFE1;
  constexpr uint64_t kStartOfScan = 0xFFDA;
  constexpr std::string_view kExif = "Exif\0\0"sv;
  const Reader read(file, /*most_significant_first=*/true);
  for (uint64_t at = 2; at + 4 <= file.size();) {
    const uint64_t marker = read.number(at, 2);
    const uint64_t length = read.number(at + 2, 2);  // its own two bytes included
    if (marker < 0xFF00 || marker == kStartOfScan || length < 2) break;
    const std::span<const std::byte> segment =
        file.subspan(at + 4, std::min<uint64_t>(length - 2, file.size() - at - 4));
    if (marker == kApp1 && starts_with(segment, kExif)) return orientation_in(segment.subspan(kExif.size()));
    at += 2 + length;
  }
  return Orientation::kUpright;
}

PngSize upright_size(PngSize size, Orientation orientation) {
  return turned(orientation) ? PngSize{size.height, size.width} : size;
}

Picture upright(Picture picture, Orientation orientation) {
  if (orientation == Orientation::kUpright) return picture;
  const auto [width, height] = upright_size({picture.width, picture.height}, orientation);
  Picture turned_picture{width, height, {}};
  turned_picture.pixels.reserve(picture.pixels.size());
  const int right = picture.width - 1;
  const int bottom = picture.height - 1;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      int from_x = turned(orientation) ? y : x;
      int from_y = turned(orientation) ? x : y;
      using enum Orientation;
      if (orientation == kMirrored || orientation == kHalfTurn || orientation == kTransversed ||
          orientation == kQuarterTurnLeft)
        from_x = right - from_x;
      if (orientation == kHalfTurn || orientation == kFlipped || orientation == kQuarterTurn ||
          orientation == kTransversed)
        from_y = bottom - from_y;
      const auto* pixel = picture.pixels.data() + 3 * (static_cast<int64_t>(from_y) * picture.width + from_x);
      turned_picture.pixels.insert(turned_picture.pixels.end(), pixel, pixel + 3);
    }
  }
  return turned_picture;
}

}  // namespace brume

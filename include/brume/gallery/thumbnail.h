#pragma once
#include <cstddef>
#include <vector>

#include "brume/image/picture.h"
#include "brume/image/png.h"

namespace brume::gallery {

/// A small JPEG.
struct Thumbnail {
  PngSize size;
  std::vector<std::byte> jpeg;
};

/// Makes the thumbnails of one page, which take about 64 MiB at most however many they are: smaller ones
/// where there are more.
class Thumbnails {
 public:
  explicit Thumbnails(size_t count);

  Thumbnail of(const Picture& picture) const;
  int longest_side() const { return longest_side_; }

 private:
  size_t most_bytes_;  // of one
  int longest_side_;
};

}  // namespace brume::gallery

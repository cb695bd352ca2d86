#pragma once
#include <cstdint>
#include <optional>

#include "brume/image/picture.h"

namespace brume::bench {

/// How far pictures are from those that they should be, over all their values (0 to 255).
class PictureError {
 public:
  /// Both of the same size.
  void add(const Picture& picture, const Picture& reference);

  int64_t pictures() const { return pictures_; }
  int max_abs() const { return max_abs_; }
  /// Peak signal to noise, in decibels; nothing where every value is the same, for it has no end.
  std::optional<double> psnr() const;

 private:
  int64_t pictures_ = 0;
  int64_t values_ = 0;
  int max_abs_ = 0;
  double squares_ = 0;
};

}  // namespace brume::bench

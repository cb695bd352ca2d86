#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "brume/base/file.h"
#include "brume/image/png.h"

namespace brume {

/// A PNG written row by row, so that a large one is never held.
class PngRows {
 public:
  PngRows(PngSize size, const std::vector<PngText>& texts, ByteSink sink);
  ~PngRows();
  PngRows(const PngRows&) = delete;
  PngRows& operator=(const PngRows&) = delete;

  /// Some whole rows, RGB. With the last of them the file is complete.
  void write(std::span<const uint8_t> rows);

 private:
  struct Encoder;

  PngSize size_;
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace brume

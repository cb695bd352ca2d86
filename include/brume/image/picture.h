#pragma once
#include <cstdint>
#include <vector>

namespace brume {

/// An 8-bit picture: `pixels` is [height, width, 3], RGB, row after row without padding.
struct Picture {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;
};

}  // namespace brume

#pragma once
#include <cstddef>
#include <vector>

#include "brume/image/picture.h"

namespace brume {

/// A JPEG file's bytes: colours at full resolution, `quality` from 1 to 100.
std::vector<std::byte> encode_jpeg(const Picture& picture, int quality);

}  // namespace brume

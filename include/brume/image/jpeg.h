#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "brume/image/picture.h"
#include "brume/image/png.h"

namespace brume {

/// A JPEG file's bytes: colours at full resolution, `quality` from 1 to 100.
std::vector<std::byte> encode_jpeg(const Picture& picture, int quality);

/// Decodes an untrusted JPEG (baseline or progressive, grey or colours) to RGB, upright as its Exif data
/// says, under decode_png's limits of size. Throws kInputInvalid with `where`.
Picture decode_jpeg(std::span<const std::byte> file, const std::string& where);
/// The size that decode_jpeg would give, from the header; the pixels are not read.
PngSize read_jpeg_size(std::span<const std::byte> file, const std::string& where);

}  // namespace brume

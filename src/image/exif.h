#pragma once
#include <cstddef>
#include <span>

#include "brume/image/picture.h"
#include "brume/image/png.h"

namespace brume {

/// How the pixels of a file lie, as Exif numbers it: 1 upright, 2 mirrored, 3 by half a turn, ...
enum class Orientation : int {
  kUpright = 1,
  kMirrored,
  kHalfTurn,
  kFlipped,
  kTransposed,
  kQuarterTurn,  // to the right makes it upright
  kTransversed,
  kQuarterTurnLeft,
};

/// What an untrusted JPEG's Exif data says (the tag 0x0112 of its first directory); upright where it says
/// nothing that can be read.
Orientation jpeg_orientation(std::span<const std::byte> file);

/// Of the upright picture.
PngSize upright_size(PngSize size, Orientation orientation);
/// Mirrors Pillow's ImageOps.exif_transpose.
Picture upright(Picture picture, Orientation orientation);

}  // namespace brume

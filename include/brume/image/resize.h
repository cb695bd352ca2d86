#pragma once
#include "brume/image/picture.h"
#include "brume/image/png.h"

namespace brume {

/// The largest size with the shape of `size`, as near as whole pixels come, that lies within `most` and is
/// not larger than `size`; at least one pixel a side.
PngSize fit_within(PngSize size, PngSize most);

/// The picture at another size, by Lanczos' filter of three lobes, stretched by as much as it shrinks. Value
/// for value what Pillow's resize gives with LANCZOS, by which diffusers resizes what it reads.
Picture resize_lanczos(const Picture& picture, PngSize size);

/// The picture at another size, by a box filter: a pixel is the mean of the area it covers, parts of pixels
/// counted by their share, rounded once. It works on the values as they are stored, like most programs.
Picture resize_box(const Picture& picture, PngSize size);

}  // namespace brume

#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "brume/image/picture.h"
#include "brume/image/png.h"

namespace brume {

/// The longest file that is read as a picture, in bytes.
inline constexpr uint64_t kMostPictureFile = uint64_t{512} << 20;

/// A picture file that others are drawn from, as it was when it was looked at.
struct PictureFile {
  std::filesystem::path path;
  std::string digest;  // SHA-256 of the file, in hexadecimal digits
  PngSize size;        // upright
};

/// Looks at an untrusted PNG or JPEG: its header, and the digest of all of it. Throws kInputInvalid with
/// `option`, which names the file.
PictureFile look_at_picture(const std::filesystem::path& path, const std::string& option);
/// Its pixels. Throws kInputInvalid for what is not as it was when it was looked at.
Picture read_picture(const PictureFile& file);

}  // namespace brume

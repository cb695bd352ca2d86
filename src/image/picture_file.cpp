#include "brume/image/picture_file.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/image/jpeg.h"

namespace brume {

namespace {

enum class Format { kPng, kJpeg };

bool begins_with(std::span<const std::byte> file, std::span<const uint8_t> mark) {
  return file.size() >= mark.size() && std::equal(mark.begin(), mark.end(), file.begin(),
                                                  [](uint8_t a, std::byte b) { return std::byte{a} == b; });
}

/// By what it begins with, whatever its name.
Format format_of(std::span<const std::byte> file, const std::string& where) {
  constexpr std::array<uint8_t, 4> kPng = {0x89, 'P', 'N', 'G'};
  constexpr std::array<uint8_t, 3> kJpeg = {0xFF, 0xD8, 0xFF};
  if (begins_with(file, kPng)) return Format::kPng;
  if (begins_with(file, kJpeg)) return Format::kJpeg;
  throw Error(ExitCode::kInputInvalid, where, "is neither a PNG nor a JPEG",
              "save the picture as one of these");
}

std::string digest_of(std::span<const std::byte> file) { return hex_digits(sha256(file)); }

}  // namespace

PictureFile look_at_picture(const std::filesystem::path& path, const std::string& option) {
  try {
    const std::string text = read_text_file(path, kMostPictureFile, ExitCode::kInputInvalid);
    const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
    const bool png = format_of(bytes, path.string()) == Format::kPng;
    const PngSize size = png ? read_png_size(bytes, path.string()) : read_jpeg_size(bytes, path.string());
    if (size.width < 1 || size.height < 1)
      throw Error(ExitCode::kInputInvalid, path.string(), "has no size; it is cut off or damaged");
    return {path, digest_of(bytes), size};
  } catch (const Error& error) {
    if (error.code() != ExitCode::kInputInvalid) throw;
    throw Error(ExitCode::kInputInvalid, option, error.what());
  }
}

Picture read_picture(const PictureFile& file) {
  const std::string where = file.path.string();
  const std::string text = read_text_file(file.path, kMostPictureFile, ExitCode::kInputInvalid);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  if (digest_of(bytes) != file.digest)
    throw Error(ExitCode::kInputInvalid, where, "has changed since it was looked at", "start again");
  return format_of(bytes, where) == Format::kPng ? decode_png(bytes, where) : decode_jpeg(bytes, where);
}

}  // namespace brume

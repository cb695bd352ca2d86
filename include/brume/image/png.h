#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "brume/image/picture.h"

namespace brume {

/// The largest PNG that is read or written.
inline constexpr int kMostPngSide = 16384;
inline constexpr int64_t kMostPngPixels = 100'000'000;

/// A text chunk: written as tEXt where `text` is printable Latin-1 and newlines, as iTXt (UTF-8) otherwise.
/// `keyword` is 1 to 79 Latin-1 characters.
struct PngText {
  std::string keyword;
  std::string text;  // UTF-8
};

/// A PNG file's bytes. The same picture and texts always give the same bytes. An empty text is left out; one
/// that is not UTF-8 or holds a zero byte throws kInputInvalid.
std::vector<std::byte> encode_png(const Picture& picture, const std::vector<PngText>& texts);

/// Decodes an untrusted PNG (8 or 16 bit, any colour type, alpha dropped) to RGB; at most 16,384 pixels a
/// side and 100 million in all, chunk checksums verified. Throws kInputInvalid with `where`.
Picture decode_png(std::span<const std::byte> file, const std::string& where);

struct PngSize {
  int width = 0;
  int height = 0;
};

/// The size an untrusted PNG's header gives, under the same limits; the pixels are not read.
PngSize read_png_size(std::span<const std::byte> file, const std::string& where);

/// The text chunks of an untrusted PNG, in file order, as UTF-8; at most 1,000 of them and 16 MiB in all,
/// unfolded. A chunk that breaks its own format is skipped. The whole file is read, so a cut one is an error.
/// Throws kInputInvalid with `where`.
std::vector<PngText> read_png_texts(std::span<const std::byte> file, const std::string& where);

struct PngContents {
  Picture picture;
  std::vector<PngText> texts;
};

/// decode_png and read_png_texts in one pass.
PngContents read_png(std::span<const std::byte> file, const std::string& where);

}  // namespace brume

#include "brume/image/png.h"

#include <spng.h>

#include <cstring>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "png_context.h"

namespace brume {

namespace {

constexpr size_t kMaxTextBytes = size_t{16} << 20;  // also bounds what a compressed chunk may unfold to
constexpr uint64_t kMaxDeflateRatio = 1032;         // no deflate stream unfolds to more than this

/// Bytes of a text chunk as UTF-8. Latin-1 is what the format asks of tEXt, but stable-diffusion.cpp and
/// others write UTF-8 there; bytes that read as UTF-8 are taken so, and encode_png never writes a tEXt that
/// is both.
std::string to_utf8(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string utf8;
  for (char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xC0 | byte >> 6);
      utf8 += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return utf8;
}

/// A PNG that someone else made, with its limits set and its header checked.
class Decoder {
 public:
  Decoder(std::span<const std::byte> file, const std::string& where)
      : where_(where), rest_(file), context_(make_png_context(0)) {
    if (file.empty()) fail(SPNG_ESIGNATURE);
    require(spng_set_image_limits(context_.get(), kMostPngSide, kMostPngSide));
    require(spng_set_chunk_limits(context_.get(), kMaxTextBytes, kMaxTextBytes));
    require(spng_set_crc_action(context_.get(), SPNG_CRC_ERROR, SPNG_CRC_ERROR));
    require(spng_set_png_stream(context_.get(), &Decoder::read, &rest_));
    require(spng_get_ihdr(context_.get(), &header_));
    check_size(file.size());
  }

  Decoder(const Decoder&) = delete;  // libspng holds the address of rest_
  Decoder& operator=(const Decoder&) = delete;

  spng_ctx* get() const { return context_.get(); }
  int width() const { return static_cast<int>(header_.width); }
  int height() const { return static_cast<int>(header_.height); }

  void require(int failed) const {
    if (failed != 0) fail(failed);
  }

 private:
  [[noreturn]] void fail(int failed) const {
    if (failed == SPNG_EMEM) throw Error(ExitCode::kOutOfMemory, where_, "no memory to read the picture");
    if (failed == SPNG_IO_ERROR)
      throw Error(ExitCode::kInputInvalid, where_, "is not a whole PNG: it ends early", "fetch it again");
    throw Error(ExitCode::kInputInvalid, where_,
                std::string("is not a PNG brume can read: ") + spng_strerror(failed),
                "save the picture again");
  }

  void check_size(size_t file_size) const {
    const uint64_t pixels = uint64_t{header_.width} * header_.height;
    const std::string size = std::to_string(header_.width) + " x " + std::to_string(header_.height);
    if (pixels > kMostPngPixels) {
      throw Error(ExitCode::kInputInvalid, where_, size + " pixels are more than the limit of 100 million",
                  "scale the picture down");
    }
    // At least one bit a pixel: a header that promises more than the file can unfold to must not make us
    // allocate for it.
    if (pixels / 8 / kMaxDeflateRatio > file_size)
      throw Error(ExitCode::kInputInvalid, where_, "the file is too short for " + size + " pixels",
                  "fetch it again");
  }

  /// libspng 0.7.3 takes the end of a buffer inside the last checksum for a checksum it may discard, since
  /// both are -1; an input/output error it cannot mistake.
  static int read(spng_ctx*, void* user, void* out, size_t length) {
    auto& rest = *static_cast<std::span<const std::byte>*>(user);
    if (length > rest.size()) return SPNG_IO_ERROR;
    std::memcpy(out, rest.data(), length);
    rest = rest.subspan(length);
    return 0;
  }

  const std::string where_;
  std::span<const std::byte> rest_;
  PngContext context_;
  spng_ihdr header_{};
};

/// Leads the decoder to the end of the file.
Picture pixels_of(const Decoder& decoder) {
  Picture picture{decoder.width(), decoder.height(), {}};
  size_t bytes = 0;
  decoder.require(spng_decoded_image_size(decoder.get(), SPNG_FMT_RGB8, &bytes));
  picture.pixels.resize(bytes);
  decoder.require(spng_decode_image(decoder.get(), picture.pixels.data(), bytes, SPNG_FMT_RGB8, 0));
  decoder.require(spng_decode_chunks(decoder.get()));  // to the end: a cut or damaged tail is an error too
  return picture;
}

/// Of a decoder that has come to the end of the file.
std::vector<PngText> texts_of(const Decoder& decoder) {
  uint32_t count = 0;
  const int found = spng_get_text(decoder.get(), nullptr, &count);
  if (found == SPNG_ECHUNKAVAIL) return {};
  decoder.require(found);
  std::vector<spng_text> chunks(count);
  decoder.require(spng_get_text(decoder.get(), chunks.data(), &count));
  std::vector<PngText> texts;
  texts.reserve(count);
  for (const spng_text& chunk : chunks)
    texts.push_back({to_utf8(chunk.keyword), to_utf8(std::string_view(chunk.text, chunk.length))});
  return texts;
}

}  // namespace

Picture decode_png(std::span<const std::byte> file, const std::string& where) {
  return pixels_of(Decoder(file, where));
}

PngContents read_png(std::span<const std::byte> file, const std::string& where) {
  const Decoder decoder(file, where);
  Picture picture = pixels_of(decoder);
  return {std::move(picture), texts_of(decoder)};
}

PngSize read_png_size(std::span<const std::byte> file, const std::string& where) {
  const Decoder decoder(file, where);
  return {decoder.width(), decoder.height()};
}

std::vector<PngText> read_png_texts(std::span<const std::byte> file, const std::string& where) {
  const Decoder decoder(file, where);
  // Texts may follow the pixels, and libspng reaches what follows only by decoding them: one row at a time,
  // so that no picture is held.
  std::vector<uint8_t> row(size_t{8} * static_cast<size_t>(decoder.width()));  // RGBA, 16 bit
  decoder.require(spng_decode_image(decoder.get(), nullptr, 0, SPNG_FMT_RAW, SPNG_DECODE_PROGRESSIVE));
  int state = 0;
  while (state == 0) state = spng_decode_scanline(decoder.get(), row.data(), row.size());
  if (state != SPNG_EOI) decoder.require(state);
  decoder.require(spng_decode_chunks(decoder.get()));

  return texts_of(decoder);
}

}  // namespace brume

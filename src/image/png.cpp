#include "brume/image/png.h"

#include <spng.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "brume/base/error.h"
#include "brume/base/escape.h"

namespace brume {

namespace {

constexpr uint32_t kMaxSide = 16384;
constexpr uint64_t kMaxPixels = 100'000'000;
constexpr size_t kMaxTextBytes = size_t{16} << 20;  // also bounds what a compressed chunk may unfold to
constexpr uint64_t kMaxDeflateRatio = 1032;         // no deflate stream unfolds to more than this
// Noise from a sampler holds few repeats beyond runs: run lengths and Huffman codes alone (zlib's Z_RLE) took
// 45 ms and 358 kB where level 1 took 54 ms and 426 kB, level 6 417 ms and 362 kB (512 x 512, gradient and
// noise); Paeth's filter added time and no size.
constexpr int kCompressionLevel = 1;
constexpr int kRunLengths = 3;
constexpr int kFilters = SPNG_FILTER_CHOICE_SUB | SPNG_FILTER_CHOICE_UP | SPNG_FILTER_CHOICE_AVG;

using Context = std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)>;

Context make_context(int flags) {
  Context context(spng_ctx_new(flags), &spng_ctx_free);
  if (!context) throw Error(ExitCode::kOutOfMemory, "png", "no memory for a codec");
  return context;
}

/// Latin-1 bytes of well-formed UTF-8, or nothing if a character is beyond U+00FF.
std::optional<std::string> to_latin1(std::string_view utf8) {
  std::string latin1;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<uint8_t>(utf8[i]);
    if (byte < 0x80) {
      latin1 += utf8[i];
    } else if (byte == 0xC2 || byte == 0xC3) {
      const auto next = static_cast<uint8_t>(utf8[++i]);
      latin1 += static_cast<char>((byte & 3) << 6 | (next & 0x3F));
    } else {
      return std::nullopt;
    }
  }
  return latin1;
}

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

/// True where the PNG specification allows the text in tEXt (printable Latin-1 and newlines) and to_utf8
/// reads it back as it was.
bool fits_plain_chunk(std::string_view latin1) {
  bool ascii = true;
  for (char c : latin1) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && byte != '\n') || (byte >= 0x7F && byte < 0xA0)) return false;
    ascii = ascii && byte < 0x80;
  }
  return ascii || !is_utf8(latin1);
}

/// The texts in the form libspng takes; it keeps pointers, so this must outlive the encoding.
class TextChunks {
 public:
  explicit TextChunks(const std::vector<PngText>& texts) {
    storage_.reserve(texts.size());
    for (const PngText& text : texts) {
      if (!text.text.empty()) add(text);
    }
  }

  void give_to(spng_ctx* context) {
    if (chunks_.empty()) return;
    const int failed = spng_set_text(context, chunks_.data(), static_cast<uint32_t>(chunks_.size()));
    if (failed != 0) throw Error(ExitCode::kInputInvalid, "PNG text", spng_strerror(failed));
  }

 private:
  void add(const PngText& text) {
    // libspng measures with strlen: a NUL would cut the text without a word.
    if (text.text.find('\0') != std::string::npos || !is_utf8(text.text) || !is_utf8(text.keyword)) {
      throw Error(ExitCode::kInputInvalid, "PNG text " + text.keyword, "is not UTF-8 or holds a zero byte",
                  "remove the byte");
    }
    const std::optional<std::string> keyword = to_latin1(text.keyword);
    if (!keyword || keyword->empty() || keyword->size() > 79 || keyword->find('\0') != std::string::npos)
      throw Error(ExitCode::kInputInvalid, "PNG text " + text.keyword,
                  "the keyword is not 1 to 79 Latin-1 characters");
    const std::optional<std::string> latin1 = to_latin1(text.text);
    const bool plain = latin1 && fits_plain_chunk(*latin1);
    storage_.push_back(plain ? *latin1 : text.text);

    spng_text chunk{};
    std::memcpy(chunk.keyword, keyword->data(), keyword->size());
    chunk.type = plain ? SPNG_TEXT : SPNG_ITXT;
    chunk.text = storage_.back().data();
    chunk.length = storage_.back().size();
    chunk.language_tag = &empty_;
    chunk.translated_keyword = &empty_;
    chunks_.push_back(chunk);
  }

  char empty_ = '\0';
  std::vector<std::string> storage_;
  std::vector<spng_text> chunks_;
};

/// A PNG that someone else made, with its limits set and its header checked.
class Decoder {
 public:
  Decoder(std::span<const std::byte> file, const std::string& where)
      : where_(where), rest_(file), context_(make_context(0)) {
    if (file.empty()) fail(SPNG_ESIGNATURE);
    require(spng_set_image_limits(context_.get(), kMaxSide, kMaxSide));
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
    if (pixels > kMaxPixels) {
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
  Context context_;
  spng_ihdr header_{};
};

}  // namespace

std::vector<std::byte> encode_png(const Picture& picture, const std::vector<PngText>& texts) {
  const size_t bytes = size_t{3} * static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
  if (picture.width < 1 || picture.height < 1 || picture.pixels.size() != bytes)
    throw Error(ExitCode::kInputInvalid, "PNG", "the picture's size does not match its pixels");

  TextChunks chunks(texts);
  const Context context = make_context(SPNG_CTX_ENCODER);
  auto require = [](int failed) {
    if (failed == SPNG_EMEM) throw Error(ExitCode::kOutOfMemory, "PNG", "no memory to write the picture");
    if (failed != 0) throw Error(ExitCode::kOutputFailed, "PNG", spng_strerror(failed));
  };
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(picture.width);
  header.height = static_cast<uint32_t>(picture.height);
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  require(spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1));
  require(spng_set_option(context.get(), SPNG_IMG_COMPRESSION_LEVEL, kCompressionLevel));
  require(spng_set_option(context.get(), SPNG_IMG_COMPRESSION_STRATEGY, kRunLengths));
  require(spng_set_option(context.get(), SPNG_FILTER_CHOICE, kFilters));
  require(spng_set_ihdr(context.get(), &header));
  chunks.give_to(context.get());
  require(spng_encode_image(context.get(), picture.pixels.data(), bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE));

  size_t size = 0;
  int failed = 0;
  const std::unique_ptr<void, decltype(&std::free)> buffer(spng_get_png_buffer(context.get(), &size, &failed),
                                                           &std::free);
  require(failed);
  const auto* first = static_cast<const std::byte*>(buffer.get());
  return {first, first + size};
}

Picture decode_png(std::span<const std::byte> file, const std::string& where) {
  const Decoder decoder(file, where);
  Picture picture{decoder.width(), decoder.height(), {}};
  size_t bytes = 0;
  decoder.require(spng_decoded_image_size(decoder.get(), SPNG_FMT_RGB8, &bytes));
  picture.pixels.resize(bytes);
  decoder.require(spng_decode_image(decoder.get(), picture.pixels.data(), bytes, SPNG_FMT_RGB8, 0));
  decoder.require(spng_decode_chunks(decoder.get()));  // to the end: a cut or damaged tail is an error too
  return picture;
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

}  // namespace brume

#include <spng.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/image/png.h"
#include "brume/image/png_rows.h"
#include "png_context.h"

namespace brume {

namespace {

// Noise from a sampler holds few repeats beyond runs: run lengths and Huffman codes alone (zlib's Z_RLE) took
// 45 ms and 358 kB where level 1 took 54 ms and 426 kB, level 6 417 ms and 362 kB (512 x 512, gradient and
// noise); Paeth's filter added time and no size.
constexpr int kCompressionLevel = 1;
constexpr int kRunLengths = 3;
constexpr int kFilters = SPNG_FILTER_CHOICE_SUB | SPNG_FILTER_CHOICE_UP | SPNG_FILTER_CHOICE_AVG;

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

/// True where the PNG specification allows the text in tEXt (printable Latin-1 and newlines) and a reader
/// that takes UTF-8 for UTF-8, as ours does, reads it back as it was.
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

void require(int failed) {
  if (failed == SPNG_EMEM) throw Error(ExitCode::kOutOfMemory, "PNG", "no memory to write the picture");
  if (failed != 0) throw Error(ExitCode::kOutputFailed, "PNG", spng_strerror(failed));
}

/// All that comes before the pixels.
void begin(spng_ctx* context, PngSize size, TextChunks& chunks) {
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(size.width);
  header.height = static_cast<uint32_t>(size.height);
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  require(spng_set_option(context, SPNG_IMG_COMPRESSION_LEVEL, kCompressionLevel));
  require(spng_set_option(context, SPNG_IMG_COMPRESSION_STRATEGY, kRunLengths));
  require(spng_set_option(context, SPNG_FILTER_CHOICE, kFilters));
  require(spng_set_ihdr(context, &header));
  chunks.give_to(context);
}

}  // namespace

std::vector<std::byte> encode_png(const Picture& picture, const std::vector<PngText>& texts) {
  const size_t bytes = size_t{3} * static_cast<size_t>(picture.width) * static_cast<size_t>(picture.height);
  if (picture.width < 1 || picture.height < 1 || picture.pixels.size() != bytes)
    throw Error(ExitCode::kInputInvalid, "PNG", "the picture's size does not match its pixels");

  TextChunks chunks(texts);
  const PngContext context = make_png_context(SPNG_CTX_ENCODER);
  require(spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1));
  begin(context.get(), {picture.width, picture.height}, chunks);
  require(spng_encode_image(context.get(), picture.pixels.data(), bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE));

  size_t size = 0;
  int failed = 0;
  const std::unique_ptr<void, decltype(&std::free)> buffer(spng_get_png_buffer(context.get(), &size, &failed),
                                                           &std::free);
  require(failed);
  const auto* first = static_cast<const std::byte*>(buffer.get());
  return {first, first + size};
}

struct PngRows::Encoder {
  Encoder(const std::vector<PngText>& texts, ByteSink to) : chunks(texts), sink(std::move(to)) {}

  /// No exception may pass through libspng; it waits here.
  static int write(spng_ctx*, void* user, void* data, size_t length) {
    auto& encoder = *static_cast<Encoder*>(user);
    try {
      encoder.sink({static_cast<const std::byte*>(data), length});
      return 0;
    } catch (...) {
      encoder.failure = std::current_exception();
      return SPNG_IO_ERROR;
    }
  }

  void check(int failed) const {
    if (failure) std::rethrow_exception(failure);
    require(failed);
  }

  TextChunks chunks;
  ByteSink sink;
  PngContext context = make_png_context(SPNG_CTX_ENCODER);
  std::exception_ptr failure;
};

PngRows::PngRows(PngSize size, const std::vector<PngText>& texts, ByteSink sink)
    : size_(size), encoder_(std::make_unique<Encoder>(texts, std::move(sink))) {
  spng_ctx* context = encoder_->context.get();
  require(spng_set_png_stream(context, &Encoder::write, encoder_.get()));
  begin(context, size_, encoder_->chunks);
  encoder_->check(
      spng_encode_image(context, nullptr, 0, SPNG_FMT_PNG, SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE));
}

PngRows::~PngRows() = default;

void PngRows::write(std::span<const uint8_t> rows) {
  const size_t length = size_t{3} * static_cast<size_t>(size_.width);
  for (; rows.size() >= length; rows = rows.subspan(length)) {
    const int state = spng_encode_row(encoder_->context.get(), rows.data(), length);
    encoder_->check(state == SPNG_EOI ? 0 : state);
  }
}

}  // namespace brume

#include <turbojpeg.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "brume/base/error.h"
#include "brume/image/jpeg.h"
#include "exif.h"

namespace brume {

namespace {

// No JPEG packs more pixels into a byte: a block of 8 x 8 takes two bits or more, a progressive one a bit.
constexpr int64_t kMostPixelsAByte = 1024;

/// A JPEG that someone else made, with its header read and its size checked.
class Decoder {
 public:
  Decoder(std::span<const std::byte> file, const std::string& where)
      : file_(file), where_(where), decoder_(tjInitDecompress(), &tjDestroy) {
    if (!decoder_) throw Error(ExitCode::kOutOfMemory, where, "no memory for a codec");
    int subsampling = 0;
    if (tjDecompressHeader3(decoder_.get(), bytes(), file.size(), &size_.width, &size_.height, &subsampling,
                            &colours_) != 0)
      fail(tjGetErrorStr2(decoder_.get()));
    check_size();
  }

  PngSize size() const { return size_; }

  Picture decode() const {
    if (colours_ == TJCS_CMYK || colours_ == TJCS_YCCK) fail("its colours are those of print (CMYK)");
    Picture picture{size_.width, size_.height, {}};
    picture.pixels.resize(size_t{3} * static_cast<size_t>(size_.width) * static_cast<size_t>(size_.height));
    const int failed =
        tjDecompress2(decoder_.get(), bytes(), file_.size(), picture.pixels.data(), size_.width, 0,
                      size_.height, TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
    if (failed == 0) return picture;
    // A warning of stray bytes is no harm, as other programs see it; a picture that ends early is none.
    const std::string_view problem = tjGetErrorStr2(decoder_.get());
    if (tjGetErrorCode(decoder_.get()) != TJERR_WARNING ||
        problem.find("remature end") != std::string_view::npos)
      fail(std::string(problem));
    return picture;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(ExitCode::kInputInvalid, where_, "is not a JPEG brume can read: " + problem,
                "save the picture again, as PNG say");
  }

  const unsigned char* bytes() const { return reinterpret_cast<const unsigned char*>(file_.data()); }

  void check_size() const {
    const int64_t pixels = static_cast<int64_t>(size_.width) * size_.height;
    const std::string size = std::to_string(size_.width) + " x " + std::to_string(size_.height);
    if (size_.width > kMostPngSide || size_.height > kMostPngSide || pixels > kMostPngPixels)
      throw Error(ExitCode::kInputInvalid, where_,
                  size + " pixels are more than the limits of 16384 a side and 100 million",
                  "scale the picture down");
    if (pixels / kMostPixelsAByte > static_cast<int64_t>(file_.size()))
      throw Error(ExitCode::kInputInvalid, where_, "the file is too short for " + size + " pixels",
                  "fetch it again");
  }

  std::span<const std::byte> file_;
  const std::string& where_;
  std::unique_ptr<void, decltype(&tjDestroy)> decoder_;
  PngSize size_;
  int colours_ = 0;
};

}  // namespace

Picture decode_jpeg(std::span<const std::byte> file, const std::string& where) {
  return upright(Decoder(file, where).decode(), jpeg_orientation(file));
}

PngSize read_jpeg_size(std::span<const std::byte> file, const std::string& where) {
  return upright_size(Decoder(file, where).size(), jpeg_orientation(file));
}

}  // namespace brume

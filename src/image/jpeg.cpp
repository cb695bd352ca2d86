#include "brume/image/jpeg.h"

#include <turbojpeg.h>

#include <memory>

#include "brume/base/error.h"

namespace brume {

std::vector<std::byte> encode_jpeg(const Picture& picture, int quality) {
  const std::unique_ptr<void, decltype(&tjDestroy)> encoder(tjInitCompress(), &tjDestroy);
  if (!encoder) throw Error(ExitCode::kOutOfMemory, "jpeg", "no memory for a codec");
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT: the type that libturbojpeg writes to
  // Half the colours' resolution would save a fifth and smear the edges of plain colours.
  const int failed = tjCompress2(encoder.get(), picture.pixels.data(), picture.width, 0, picture.height,
                                 TJPF_RGB, &bytes, &size, TJSAMP_444, quality, TJFLAG_ACCURATEDCT);
  const std::unique_ptr<unsigned char, decltype(&tjFree)> buffer(bytes, &tjFree);
  if (failed != 0) throw Error(ExitCode::kOutputFailed, "jpeg", tjGetErrorStr2(encoder.get()));
  const auto* first = reinterpret_cast<const std::byte*>(buffer.get());
  return {first, first + size};
}

}  // namespace brume

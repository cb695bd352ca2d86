#pragma once
#include <spng.h>

#include <memory>

#include "brume/base/error.h"

namespace brume {

using PngContext = std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)>;

inline PngContext make_png_context(int flags) {
  PngContext context(spng_ctx_new(flags), &spng_ctx_free);
  if (!context) throw Error(ExitCode::kOutOfMemory, "png", "no memory for a codec");
  return context;
}

}  // namespace brume

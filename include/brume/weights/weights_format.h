#pragma once
#include <filesystem>
#include <optional>

#include "brume/base/error.h"

namespace brume {

enum class WeightsFormat {
  kSafetensors,
  kIndex,    // of safetensors shards
  kPickled,  // what torch.save writes, today or long ago
};

/// By what the file begins with; by its name where that says nothing, so that a broken file is told as such.
/// An index, which is any JSON, is known by its name alone. Nothing for other files. Throws with `code` if it
/// cannot be read.
std::optional<WeightsFormat> weights_format(const std::filesystem::path& file, ExitCode code);

}  // namespace brume

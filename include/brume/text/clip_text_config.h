#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/config_file.h"

namespace brume {

enum class TextActivation { kGelu, kQuickGelu };

/// The sizes of a CLIP text encoder, from its config.json (transformers' CLIPTextConfig).
struct ClipTextConfig {
  int64_t vocab_size;
  int64_t width;
  int64_t intermediate;
  int64_t layers;
  int64_t heads;
  int64_t max_tokens;
  int64_t end_token;
  TextActivation activation;
  double norm_eps;
  std::optional<int64_t> projection_width;  // of CLIPTextModelWithProjection

  bool operator==(const ClipTextConfig&) const = default;

  /// Throws kModelInvalid, naming file, key and value, for what brume does not have.
  /// Keys that nothing reads are appended to `ignored`, a line a file.
  static ClipTextConfig read(const ConfigFile& config, std::vector<std::string>& ignored);
};

}  // namespace brume

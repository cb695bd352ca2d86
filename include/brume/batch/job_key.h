#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "brume/image/recipe.h"

namespace brume::batch {

/// Goes up when the program draws other pixels from the same recipe; every picture is then drawn anew.
/// 2: prompts are read as A1111 reads them.
inline constexpr int kPictureVersion = 2;

/// Names a picture by what it is made from: the first 128 bits of a SHA-256.
struct JobKey {
  std::array<uint8_t, 16> bytes{};

  /// 32 lower-case digits.
  std::string hex() const;
  /// Nothing for a text that hex() does not give.
  static std::optional<JobKey> from_hex(std::string_view text);
  /// The first eight bytes as a number. They are as good as random.
  uint64_t prefix() const;

  bool operator==(const JobKey&) const = default;
  bool operator<(const JobKey& other) const { return bytes < other.bytes; }
};

/// What the key is the hash of: a line of JSON with everything in `recipe` that changes the pixels and
/// `model_digest`. Neither the model's place and name nor the program's version nor what happened on the way.
std::string canonical_job(const Recipe& recipe, const std::string& model_digest);
JobKey job_key(const Recipe& recipe, const std::string& model_digest);

}  // namespace brume::batch

template <>
struct std::hash<brume::batch::JobKey> {
  size_t operator()(const brume::batch::JobKey& key) const noexcept { return key.prefix(); }
};

#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "brume/base/error.h"

namespace brume {

using Sha256 = std::array<uint8_t, 32>;

Sha256 sha256(std::span<const std::byte> bytes);
/// Of a file's contents from byte `first` on, read a block at a time. Throws with `code` if it cannot be
/// read.
Sha256 sha256_of_file(const std::filesystem::path& path, ExitCode code, uint64_t first = 0);

/// A file by a name that does not say where it lies.
struct NamedFile {
  std::string name;
  std::filesystem::path path;
};

/// The first eight bytes of a text's SHA-256, most significant first: the same on every machine.
uint64_t short_digest(std::string_view text);

/// Two lower-case digits a byte.
std::string hex_digits(std::span<const uint8_t> bytes);

}  // namespace brume

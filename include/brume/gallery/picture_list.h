#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace brume::gallery {

enum class Depth { kOwnFiles, kRecursive };

struct ListedPicture {
  std::filesystem::path file;    // below the directory
  std::optional<int64_t> index;  // that the directory's journal gives it
};

/// The files of `directory` that end in .png; hidden ones and links to directories are passed over. A
/// directory's own come before its subdirectories', pictures of its journal in the order of their index, and
/// after them the others by name. Throws kInputInvalid if it cannot be read.
std::vector<ListedPicture> list_pictures(const std::filesystem::path& directory, Depth depth);

}  // namespace brume::gallery

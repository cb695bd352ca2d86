#pragma once
#include <filesystem>
#include <span>
#include <string>

namespace brume::batch {

/// One digest, 64 digits, of all the files a model is made of: of their names below `root` and their
/// contents, in no matter what order they are given. Throws kModelInvalid for one that cannot be read.
std::string model_digest(std::span<const std::filesystem::path> files, const std::filesystem::path& root);

}  // namespace brume::batch

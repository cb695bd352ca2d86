#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "brume/base/digest.h"

namespace brume::batch {

/// One digest, 64 digits, of all the files a model is made of: of their names and their contents, in no
/// matter what order they are given. Throws kModelInvalid for one that cannot be read.
std::string model_digest(std::span<const NamedFile> files);

/// The same, and it is written down in `directory` for known_model_digest. `mark` as in
/// write_file_atomically. Throws kOutputFailed too.
std::string note_model_digest(std::span<const NamedFile> files, const std::filesystem::path& directory,
                              const std::string& mark);
/// The digest that a run of this directory noted, as long as every file has the place, the size and the times
/// that it had then; it reads none of them.
std::optional<std::string> known_model_digest(std::span<const NamedFile> files,
                                              const std::filesystem::path& directory);

}  // namespace brume::batch

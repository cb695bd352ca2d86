#pragma once
#include <span>
#include <string>

#include "brume/base/digest.h"

namespace brume::batch {

/// One digest, 64 digits, of all the files a model is made of: of their names and their contents, in no
/// matter what order they are given. Throws kModelInvalid for one that cannot be read.
std::string model_digest(std::span<const NamedFile> files);

}  // namespace brume::batch

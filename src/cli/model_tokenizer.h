#pragma once
#include <filesystem>

#include "brume/text/tokenizer.h"

namespace brume::cli {

/// The (first) tokenizer of a model: of its directory, or for a checkpoint of one file that of its family.
Tokenizer model_tokenizer(const std::filesystem::path& model);

}  // namespace brume::cli

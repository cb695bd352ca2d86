#pragma once
#include <filesystem>
#include <vector>

#include "brume/text/tokenizer.h"

namespace brume::cli {

/// Those of a model's text towers, one or two: of its directory, or for a checkpoint of one file of its
/// family.
std::vector<Tokenizer> model_tokenizers(const std::filesystem::path& model);

}  // namespace brume::cli

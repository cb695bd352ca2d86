#pragma once
#include <filesystem>
#include <vector>

#include "brume/pipeline/model_directory.h"

namespace brume {

/// Every file of a model that its pictures depend on: configurations, vocabularies and the weights that would
/// be loaded. Throws kModelInvalid where there are no weights.
std::vector<std::filesystem::path> model_files(const ModelDirectory& model);

}  // namespace brume

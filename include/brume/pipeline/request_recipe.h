#pragma once
#include <cstdint>
#include <vector>

#include "brume/image/recipe.h"
#include "brume/pipeline/model_config.h"
#include "brume/pipeline/request.h"

namespace brume {

/// The adapters that a model has merged in, as recipes name them.
std::vector<RecipeAdapter> recipe_adapters(const Adapters* adapters);

/// The embeddings that a request's prompts name, as recipes have them: one option, or none.
std::vector<RecipeOption> recipe_embeddings(const ModelConfig& model, const Request& request);

/// The recipe of one of the request's pictures, as far as the request says it.
Recipe recipe_of(const Request& request, uint64_t seed, const RecipeEngine& engine);

}  // namespace brume

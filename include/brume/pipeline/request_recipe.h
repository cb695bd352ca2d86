#pragma once
#include <cstdint>
#include <vector>

#include "brume/image/recipe.h"
#include "brume/pipeline/model_config.h"
#include "brume/pipeline/request.h"

namespace brume {

/// The adapters that a model has merged in, as recipes name them.
std::vector<RecipeAdapter> recipe_adapters(const Adapters* adapters);

/// Puts the embeddings that a request's prompts name into its recipe: one option, or none.
void note_embeddings(const ModelConfig& model, const Request& request, Recipe& recipe);

/// The recipe of one of the request's pictures, as far as the request says it.
Recipe recipe_of(const Request& request, uint64_t seed, const RecipeEngine& engine);

}  // namespace brume

#pragma once
#include <cstdint>

#include "brume/image/recipe.h"
#include "brume/pipeline/request.h"

namespace brume {

/// The recipe of one of the request's pictures, as far as the request says it.
Recipe recipe_of(const Request& request, uint64_t seed, const RecipeEngine& engine);

}  // namespace brume

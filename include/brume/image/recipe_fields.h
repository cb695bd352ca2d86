#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "brume/image/png.h"

namespace brume {

enum class RecipeSource { kNone, kBrume, kInfotext };

/// What a picture's untrusted texts tell of how it was made: an object of our fields in our order, or another
/// program's infotext fields as strings, or null.
struct RecipeFields {
  RecipeSource source = RecipeSource::kNone;
  nlohmann::ordered_json fields;
};

/// Our own chunk comes first, where it is as we write it. Never throws.
RecipeFields recipe_fields(const std::vector<PngText>& texts);

}  // namespace brume

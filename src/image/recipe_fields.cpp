#include "brume/image/recipe_fields.h"

#include <optional>
#include <string>
#include <string_view>

#include "brume/base/error.h"
#include "brume/base/strict_json.h"
#include "brume/image/recipe.h"

namespace brume {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxFields = 64;  // of a recipe of ours: it has 34, and options

const std::string* find_text(const std::vector<PngText>& texts, std::string_view keyword) {
  for (const PngText& text : texts) {
    if (text.keyword == keyword) return &text.text;
  }
  return nullptr;
}

/// The chunk "brume" as fields in our order, or nothing if it is not a flat object as recipe_json writes it.
std::optional<ordered_json> own_recipe(const std::string& text) {
  json values;
  try {
    values = parse_strict_json(text, 2, "brume", ExitCode::kInputInvalid);
  } catch (const Error&) {
    return std::nullopt;  // the infotext may still tell
  }
  if (!values.is_object() || values.size() > kMaxFields) return std::nullopt;
  for (const json& value : values) {
    if (value.is_object()) return std::nullopt;
  }
  ordered_json recipe;
  Recipe every_field;
  every_field.chosen = ChosenPrompts{"?", "?"};
  every_field.key = every_field.compat = every_field.sampling.scheduler = every_field.engine.model_hash = "?";
  every_field.engine.prediction = "?";
  for (const char* component : {"vae", "unet", "text_encoder", "text_encoder_2"})
    every_field.engine.components[component] = "?";
  every_field.engine.adapters.emplace_back();
  every_field.edit = RecipeEdit{{}, 1, RecipePicture{}};
  const ordered_json order = ordered_json::parse(recipe_json(every_field));
  for (const auto& [key, unused] : order.items()) {
    if (values.contains(key)) recipe[key] = values[key];
  }
  for (const auto& [key, value] : values.items()) {
    if (!recipe.contains(key)) recipe[key] = value;
  }
  return recipe;
}

ordered_json infotext_recipe(const std::string& text) {
  const auto fields = parse_infotext(text);
  ordered_json recipe = ordered_json::object();
  for (const auto& [key, value] : fields) {
    if (!recipe.contains(key)) recipe[key] = value;
  }
  return recipe;
}

}  // namespace

RecipeFields recipe_fields(const std::vector<PngText>& texts) {
  if (const std::string* own = find_text(texts, "brume")) {
    if (std::optional<ordered_json> recipe = own_recipe(*own)) return {RecipeSource::kBrume, *recipe};
  }
  if (const std::string* parameters = find_text(texts, "parameters"))
    return {RecipeSource::kInfotext, infotext_recipe(*parameters)};
  return {};
}

}  // namespace brume

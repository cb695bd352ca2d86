#include "brume/pipeline/request_recipe.h"

#include <string>

namespace brume {

namespace {

RecipePicture recipe_picture(const PictureFile& file) { return {file.path.filename().string(), file.digest}; }

}  // namespace

std::vector<RecipeAdapter> recipe_adapters(const ModelConfig& model) {
  std::vector<RecipeAdapter> adapters;
  if (model.adapters() == nullptr) return adapters;
  for (const AdapterRecord& record : model.adapters()->records())
    adapters.push_back({record.name, record.strength, record.hash, record.data_hash});
  return adapters;
}

Recipe recipe_of(const Request& request, uint64_t seed, const RecipeEngine& engine) {
  Recipe recipe;
  // As typed: with the tags of adapters, and before choices were made.
  recipe.prompt = request.adapters ? request.adapters->text
                  : request.typed  ? request.typed->prompt
                                   : request.prompt;
  recipe.negative_prompt = request.typed ? request.typed->negative_prompt : request.negative_prompt;
  if (request.typed) recipe.chosen = ChosenPrompts{request.prompt, request.negative_prompt};
  recipe.compat = compat_name(request.reading.compat);
  recipe.width = static_cast<int>(request.width);
  recipe.height = static_cast<int>(request.height);
  recipe.seed = seed;
  const SamplingSettings& sampling = request.sampling;
  const bool listed = !sampling.sigmas.empty();
  const bool own = sampling.spacing == SigmaSpacing::kModel;
  const std::string spacing(own ? "" : spacing_name(sampling.spacing));
  // A1111 gives a sampler that says nothing a spacing of its own choice.
  const std::string title(takes_spacing(sampling.sampler) ? spacing_title(sampling.spacing) : "");
  recipe.sampling = {.sampler = std::string(sampler_name(sampling.sampler)),
                     .sampler_title = std::string(sampler_title(sampling.sampler)),
                     .scheduler = listed ? sampling.sigmas : spacing,
                     .scheduler_title = listed ? sampling.sigmas : title,
                     .steps = static_cast<int>(request.sampling.steps),
                     .eta = sampling.eta,
                     .usual_eta = default_eta(sampling.sampler).value_or(0),
                     .cfg_scale = request.guidance.scale,
                     .cfg_rescale = request.guidance.rescale,
                     .clip_skip = static_cast<int>(request.clip_skip)};
  if (request.edit) recipe.edit = {recipe_picture(request.edit->picture), request.edit->strength};
  recipe.engine = engine;
  if (request.init_latents) recipe.notes.emplace_back("init_latents");
  if (request.decode == DecodeMode::kTiled) recipe.notes.emplace_back("vae_tiling");
  return recipe;
}

}  // namespace brume

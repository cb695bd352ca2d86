#include "brume/pipeline/request_recipe.h"

#include <string>

namespace brume {

Recipe recipe_of(const Request& request, uint64_t seed, const RecipeEngine& engine) {
  Recipe recipe;
  recipe.prompt = request.prompt;
  recipe.negative_prompt = request.negative_prompt;
  recipe.width = static_cast<int>(request.width);
  recipe.height = static_cast<int>(request.height);
  recipe.seed = seed;
  const SamplingSettings& sampling = request.sampling;
  const bool own = sampling.spacing == SigmaSpacing::kModel;
  const std::string spacing(own ? "" : spacing_name(sampling.spacing));
  const std::string spacing_shown(own ? "" : spacing_title(sampling.spacing));
  recipe.sampling = {.sampler = std::string(sampler_name(sampling.sampler)),
                     .sampler_title = std::string(sampler_title(sampling.sampler)),
                     .scheduler = sampling.sigmas.empty() ? spacing : sampling.sigmas,
                     .scheduler_title = sampling.sigmas.empty() ? spacing_shown : sampling.sigmas,
                     .steps = static_cast<int>(request.sampling.steps),
                     .eta = request.sampling.eta,
                     .cfg_scale = request.guidance.scale,
                     .cfg_rescale = request.guidance.rescale,
                     .clip_skip = static_cast<int>(request.clip_skip)};
  recipe.engine = engine;
  if (request.init_latents) recipe.notes.emplace_back("init_latents");
  if (request.decode == DecodeMode::kTiled) recipe.notes.emplace_back("vae_tiling");
  return recipe;
}

}  // namespace brume

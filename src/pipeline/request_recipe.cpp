#include "brume/pipeline/request_recipe.h"

#include <string>
#include <utility>

#include "brume/pipeline/embeddings.h"

namespace brume {

namespace {

RecipePicture recipe_picture(const PictureFile& file) { return {file.path.filename().string(), file.digest}; }

}  // namespace

std::vector<RecipeAdapter> recipe_adapters(const Adapters* adapters) {
  std::vector<RecipeAdapter> named;
  if (adapters == nullptr) return named;
  named.reserve(adapters->records().size());
  for (const AdapterRecord& record : adapters->records())
    named.push_back({record.name, record.strength, record.hash, record.data_hash});
  return named;
}

void note_embeddings(const ModelConfig& model, const Request& request, Recipe& recipe) {
  if (!model.embeddings()) return;
  constexpr size_t kShown = 12;  // digits, as in A1111
  std::string whole;
  std::string shown;
  for (const UsedEmbedding& used : model.embeddings()->used_by(request)) {
    whole += (whole.empty() ? "" : ", ") + used.name + ":" + used.hash;
    shown += (shown.empty() ? "" : ", ") + used.name + ": " + used.hash.substr(0, kShown);
  }
  if (!whole.empty()) recipe.sampling.options.push_back({"embeddings", "TI hashes", whole, shown});
}

namespace {

void append_guidance(const GuidanceSettings& guidance, std::vector<RecipeOption>& options) {
  if (guidance.active()) {
    const GuidanceInterval& interval = guidance.interval;
    if (interval.start > 0) options.push_back({"guidance_start", "Guidance start", interval.start});
    if (interval.end < 1) options.push_back({"guidance_end", "Guidance end", interval.end});
    if (guidance.mimic) {
      options.push_back({"mimic_scale", "Mimic scale", guidance.mimic->mimic_scale});
      options.push_back({"threshold_percentile", "Threshold percentile", guidance.mimic->percentile});
    }
    if (guidance.image_scale)
      options.push_back({"image_cfg_scale", "Image CFG scale", *guidance.image_scale});
  }
  const PerturbedGuidance& perturbed = guidance.perturbed;
  if (!perturbed.active()) return;
  options.push_back({"pag_scale", "PAG scale", perturbed.scale});
  if (perturbed.adaptive_scale > 0)
    options.push_back({"pag_adaptive_scale", "PAG adaptive scale", perturbed.adaptive_scale});
  std::string layers;
  for (const std::string& layer : perturbed.layers) layers += (layers.empty() ? "" : ",") + layer;
  options.push_back({"pag_layers", "PAG layers", layers});
}

/// What the request uses that not every one does.
std::vector<RecipeOption> options_of(const Request& request) {
  std::vector<RecipeOption> options;
  if (request.rng == NoiseKind::kCuda)
    options.push_back({"rng", "RNG", std::string(noise_kind_name(request.rng)), "NV"});
  append_guidance(request.guidance, options);
  if (request.free_u) options.push_back({"freeu", "FreeU", free_u_text(*request.free_u)});
  return options;
}

}  // namespace

Recipe recipe_of(const Request& request, uint64_t seed, const RecipeEngine& engine) {
  Recipe recipe;
  // As typed: with the tags of adapters, and before choices were made.
  recipe.prompt = request.adapters ? request.adapters->text
                  : request.typed  ? request.typed->prompt
                                   : request.prompt;
  recipe.negative_prompt = request.typed ? request.typed->negative_prompt : request.negative_prompt;
  if (request.typed)
    recipe.chosen =
        ChosenPrompts{request.adapters ? request.adapters->chosen : request.prompt, request.negative_prompt};
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
                     .clip_skip = static_cast<int>(request.clip_skip),
                     .options = options_of(request)};
  if (request.edit) {
    RecipeEdit edit{recipe_picture(request.edit->picture), request.edit->strength};
    if (request.edit->mask) edit.mask = recipe_picture(*request.edit->mask);
    recipe.edit = std::move(edit);
  }
  recipe.engine = engine;
  if (request.init_latents) recipe.notes.emplace_back("init_latents");
  if (request.decode == DecodeMode::kTiled) recipe.notes.emplace_back("vae_tiling");
  return recipe;
}

}  // namespace brume

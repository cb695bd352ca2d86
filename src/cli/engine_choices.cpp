#include "engine_choices.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "brume/base/dtype.h"
#include "brume/pipeline/request_recipe.h"
#include "commands.h"
#include "say.h"
#include "shipped.h"

namespace brume::cli {

namespace {

/// Multiply-adds of a step of one picture as the model draws it where nobody says otherwise: choices do not
/// hang on which picture comes first.
double usual_work(const ModelConfig& model) {
  const Request usual = model.resolve({}, {0});
  return model.step_work(usual.width, usual.height);
}

}  // namespace

std::map<std::string, std::string> component_names(const EngineOptions& engine) {
  std::map<std::string, std::string> names;
  for (const auto& [component, place] : engine.components)
    names[component] = std::filesystem::path(place).filename().string();
  return names;
}

ModelConfig open_model(const EngineOptions& engine) {
  ModelChoices choices;
  choices.prediction = prediction_from_name(engine.prediction);
  choices.vocabulary = clip_vocabulary();
  choices.components.insert(engine.components.begin(), engine.components.end());
  return ModelConfig(engine.model_path(), choices);
}

RecipeEngine recipe_engine(const EngineOptions& engine, const Compute& compute, const ModelConfig& model) {
  const std::optional<Prediction> prediction = prediction_from_name(engine.prediction);
  return {.model = model.source().name(),
          .dtype = std::string(dtype_name(compute.dtype)),
          .device = compute.device,
          .version = version_name(),
          .prediction = prediction ? std::string(prediction_name(*prediction)) : "",
          .components = component_names(engine),
          .adapters = recipe_adapters(model.adapters())};
}

int threads_for(const EngineOptions& engine, double work) {
  constexpr double kWorthSharing = 1e9;
  // More threads than the machine runs only wait for each other, and a pool of a thousand may never start.
  const int64_t most = std::max(1U, std::thread::hardware_concurrency());
  if (engine.threads > most)
    say("note: this machine runs " + std::to_string(most) + " threads at a time; using these");
  if (engine.threads > 0) return static_cast<int>(std::min(engine.threads, most));
  return work < kWorthSharing ? 1 : at::get_num_threads();
}

int64_t rows_of(const EngineUse& use, const Compute& compute, const ModelConfig& model) {
  if (use.batch_size > 0) return use.batch_size;
  if (use.deterministic) return 1;
  // Multiply-adds of a call.
  constexpr double kEnoughWork = 4e9;
  constexpr double kEnoughGpuWork = 2e13;
  constexpr double kMostRows = 8;
  const double enough = compute.on_cpu() ? kEnoughWork : kEnoughGpuWork;
  return static_cast<int64_t>(std::clamp(enough / usual_work(model), 1.0, kMostRows));
}

batch::RunnerSettings runner_settings(const EngineUse& use, const EngineOptions& engine,
                                      const Compute& compute, const ModelConfig& model) {
  const int64_t rows = rows_of(use, compute, model);
  const double rows_at_once = use.deterministic ? 1 : static_cast<double>(rows);
  const int threads = threads_for(engine, usual_work(model) * rows_at_once);
  // What draws leaves the processor to words and pictures.
  const bool spare = (threads == 1 && std::thread::hardware_concurrency() > 1) || !compute.on_cpu();
  return {.most_rows = rows,
          .calls = use.deterministic ? RowCalls::kApart : RowCalls::kTogether,
          .phases = spare ? batch::Phases::kBeside : batch::Phases::kInTurn,
          .threads = threads,
          .grace = std::chrono::duration<double>(use.grace)};
}

}  // namespace brume::cli

#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>

#include "brume/batch/runner.h"
#include "brume/image/recipe.h"
#include "brume/pipeline/model_config.h"
#include "compute.h"
#include "engine_options.h"

namespace brume::cli {

/// The model that the options name, with what they say of it.
ModelConfig open_model(const EngineOptions& engine);
/// Names of the files and directories that components come from, as recipes have them.
std::map<std::string, std::string> component_names(const EngineOptions& engine);
/// What denoises, for the recipe.
RecipeEngine recipe_engine(const EngineOptions& engine, const Compute& compute, const ModelConfig& model);

/// CPU threads for a network that does `work` multiply-adds at a time. Handing a small network's work from
/// thread to thread takes longer than the work: the embedded model's step is a millisecond or two on one
/// thread, and many times that on two of a busy machine.
int threads_for(const EngineOptions& engine, double work);

/// Pictures in one call: a small network's calls are mostly overhead, which several pictures share; a large
/// one's are not, and they would take memory. A GPU is filled by more work than a processor.
int64_t rows_of(const EngineUse& use, const Compute& compute, const ModelConfig& model);

batch::RunnerSettings runner_settings(const EngineUse& use, const EngineOptions& engine,
                                      const Compute& compute, const ModelConfig& model);

}  // namespace brume::cli

#pragma once
#include <cstdint>

#include "brume/batch/runner.h"
#include "brume/pipeline/model_config.h"
#include "engine_options.h"

namespace brume::cli {

/// How a batch uses the machine.
struct EngineUse {
  int64_t batch_size = 0;  // pictures in one call of the UNet; 0: as many as gain by it
  bool deterministic = false;
  double grace = 10;  // seconds

  /// Pictures in one call: a small network's calls are mostly overhead, which several pictures share; a large
  /// one's are not, and they would take memory.
  int64_t rows(const ModelConfig& model) const;
  batch::RunnerSettings settings(const ModelConfig& model, const EngineOptions& engine) const;
};

}  // namespace brume::cli

#pragma once
#include "brume/pipeline/pipeline.h"
#include "compute.h"

namespace brume::cli {

/// Loads a model as a command does: what loading takes beside the weights is given back.
Pipeline open_pipeline(ModelConfig model, const Compute& compute);

}  // namespace brume::cli

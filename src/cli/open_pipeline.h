#pragma once
#include <c10/core/ScalarType.h>

#include "brume/pipeline/pipeline.h"

namespace brume::cli {

/// Loads a model as a command does: what loading takes beside the weights is given back.
Pipeline open_pipeline(ModelConfig model, at::ScalarType dtype);

}  // namespace brume::cli

#pragma once
#include <memory>
#include <vector>

#include "brume/pipeline/model_source.h"
#include "brume/weights/adapters/adapters.h"

namespace brume {

/// Opens adapters for a model's UNet and text encoders, as Adapters does. Throws kUsage for a model of random
/// weights.
std::shared_ptr<const Adapters> open_adapters(const ModelSource& model,
                                              const std::vector<AdapterChoice>& choices,
                                              UnmatchedKeys unmatched);

/// The model with adapters merged into its weights; everything else comes from `model`.
std::shared_ptr<const ModelSource> with_adapters(const std::shared_ptr<const ModelSource>& model,
                                                 const std::shared_ptr<const Adapters>& adapters);

}  // namespace brume

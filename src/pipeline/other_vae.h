#pragma once
#include <filesystem>
#include <memory>

#include "brume/pipeline/model_source.h"

namespace brume {

/// The model with the autoencoder of another place: a file in original naming or diffusers', a component's
/// directory, or a model's. Throws kModelInvalid where there is none.
std::shared_ptr<const ModelSource> with_vae(const std::shared_ptr<const ModelSource>& model,
                                            const std::filesystem::path& vae);

}  // namespace brume

#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "brume/pipeline/model_source.h"

namespace brume {

/// The model with one component (unet, vae, text_encoder, text_encoder_2) of another place: a file in any
/// naming, of it alone or of a whole model, a component's directory, or a model's. Throws kModelInvalid where
/// there is none, or one of another kind of model; kUsage where this kind has no such component.
std::shared_ptr<const ModelSource> with_component(const std::shared_ptr<const ModelSource>& model,
                                                  const std::string& component,
                                                  const std::filesystem::path& place);

}  // namespace brume

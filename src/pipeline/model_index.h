#pragma once
#include <string>
#include <string_view>

#include "brume/base/config_file.h"
#include "brume/pipeline/model_source.h"
#include "brume/pipeline/model_task.h"

namespace brume {

/// Where a model directory has the configuration of a part.
std::string config_path_of(const std::string& part);

/// What the names of a component's weights begin with.
const char* weights_stem_of(const std::string& component);

/// Takes from a model_index.json what it says: the family, and whether an empty negative prompt is zeros.
/// Throws kModelInvalid, naming key and value, for a class that brume does not have.
void read_model_index(const ConfigFile& index, ModelFacts& facts);
/// And from a brume.json: "num_inference_steps", "guidance_scale", "width", "height".
void read_model_defaults(const ConfigFile& config, ModelFacts& facts);

/// The two files as they would say it, of a model with such a UNet and such an autoencoder.
std::string model_index_text(const ModelFacts& facts, ModelTask task, std::string_view vae_class);
std::string model_defaults_text(const ModelDefaults& defaults);

}  // namespace brume

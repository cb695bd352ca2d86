#pragma once
#include <filesystem>
#include <vector>

#include "brume/weights/safetensors.h"

namespace brume {

/// Opens every shard of a `*.safetensors.index.json` (its "weight_map" maps tensor to shard), in the order of
/// their names. A shard must be a plain name ending in .safetensors whose file lies in the index's own
/// directory, also after symbolic links; every tensor of the map must be in the shard it names and no tensor
/// in two. Throws kModelInvalid.
std::vector<SafetensorsFile> open_shards(const std::filesystem::path& index);

}  // namespace brume

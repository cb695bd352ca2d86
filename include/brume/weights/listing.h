#pragma once
#include <filesystem>
#include <string>

namespace brume {

/// What is inside a .safetensors file, a `*.safetensors.index.json`, a checkpoint that torch.save wrote, or a
/// directory (every .safetensors below it, at most three levels deep): files, each with the family of a
/// checkpoint that holds a whole model (checkpoint.h; else null), the origin of a packed model
/// (packed_origin.h; else null), its metadata and its tensors (name, dtype, shape, bytes), and totals.
/// Metadata values are cut after 200 characters; control bytes are escaped. Throws kModelInvalid.
std::string tensors_json(const std::filesystem::path& path);
/// The same as lines for a person to read.
std::string tensors_table(const std::filesystem::path& path);

}  // namespace brume

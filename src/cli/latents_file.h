#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace brume::cli {

/// The tensor "latents" [N, C, H/f, W/f] of a .safetensors file, as fp32. Throws kInputInvalid.
at::Tensor read_latents(const std::filesystem::path& path);

/// Writes fp32 and int64 tensors by name, atomically. Throws kOutputFailed.
void write_tensors(const std::filesystem::path& path, const std::map<std::string, at::Tensor>& tensors);

}  // namespace brume::cli

#pragma once
#include <filesystem>
#include <string>

namespace brume::cli {

/// A directory of models/: beside the installed program, or in the source tree it was built from.
std::string shipped_model(const std::string& name);
/// The embedded model's directory.
std::string embedded_model();

/// CLIP's vocabulary as a tokenizer directory, where tools/setup and the installation put it; not looked at.
std::filesystem::path clip_vocabulary();

/// The library that draws: beside the program where it was built, in ../lib/brume where it is installed.
std::filesystem::path engine_library();
/// The plug-in that draws on a GPU, beside the engine where the build found a CUDA toolkit; not looked at.
std::filesystem::path cuda_plugin();

}  // namespace brume::cli

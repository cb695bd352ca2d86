#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace brume::cli {

/// The program's arguments with the spellings of other programs made ours: underscores in the names of
/// options of `program` become dashes (--cfg_scale). A value that merely looks like an option is left alone.
std::vector<std::string> normalise(int argc, char** argv, const CLI::App& program);

}  // namespace brume::cli

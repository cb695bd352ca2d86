#pragma once
#include <string>
#include <vector>

namespace brume::cli {

/// The program's arguments with the spellings of other programs made ours: underscores in option names become
/// dashes
/// (--cfg_scale).
std::vector<std::string> normalise(int argc, char** argv);

}  // namespace brume::cli

#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace brume::cli {

/// The files that -o means for `count` pictures. "-" gives nothing: standard output. A directory gets names
/// of ours; %d or %03d in the name becomes the picture's number from 1; else "x.png" becomes x_1.png, x_2.png
/// ... where there are several. Without -o, output.png or the first of output_2.png, ... that is free. Throws
/// kUsage for a pattern with other conversions, kOutputFailed if the directory is missing or may not be
/// written to.
std::vector<std::filesystem::path> output_names(const std::optional<std::string>& option, int64_t count);

/// Throws kOutputFailed if no file can be made at `file`: its directory is missing or may not be written to.
void check_writable(const std::filesystem::path& file);

}  // namespace brume::cli

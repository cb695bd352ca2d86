#pragma once
#include <filesystem>
#include <string>

namespace brume {

enum class ReportFormat { kText, kJson };

/// What `brume inspect PICTURE` prints of an untrusted PNG: its size and recipe. JSON: "file", "width",
/// "height", "recipe_source" ("brume", "infotext" or null), "recipe" (our object, or another program's
/// infotext fields as strings, or null) and "text_chunks", the keywords found. Text: a line a field, control
/// bytes escaped. A picture without a recipe is no error; a file that is no PNG throws kInputInvalid.
std::string picture_report(const std::filesystem::path& path, ReportFormat format);

}  // namespace brume

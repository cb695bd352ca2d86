#pragma once
#include <filesystem>
#include <string>

namespace brume::gallery {

/// What stands before the first picture and after the last. The page loads nothing and, by its own policy,
/// may run and style itself by nothing but the two texts of ours.
std::string page_head(const std::string& title);
std::string page_tail();

/// Throws kOutputFailed where a file is there that is no such page, or a link: it is somebody's own.
void check_page_replaceable(const std::filesystem::path& file);

}  // namespace brume::gallery

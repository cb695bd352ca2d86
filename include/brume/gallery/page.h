#pragma once
#include <string>

namespace brume::gallery {

/// What stands before the first picture and after the last. The page loads nothing and, by its own policy,
/// may run and style itself by nothing but the two texts of ours.
std::string page_head(const std::string& title);
std::string page_tail();

}  // namespace brume::gallery

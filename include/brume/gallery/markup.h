#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace brume::gallery {

/// Untrusted text for an HTML page, inside an element or a quoted attribute: nothing in it is markup, control
/// bytes and bytes that are not UTF-8 show as \xNN, and the characters that turn the direction of what
/// follows as \uNNNN; marks that only tell a letter's direction stay. Newlines and tabs stay too.
std::string html_text(std::string_view text);

/// `text` up to `most` bytes, cut between characters, with an ellipsis where it was longer.
std::string shortened(std::string_view text, size_t most);

/// A link to `path`, which is relative, from the page's own directory: "./a%20b.png". Every byte that is not
/// a letter, a digit or one of -._~ is percent-encoded, so that no name is read as a scheme, query or
/// fragment.
std::string relative_link(const std::filesystem::path& path);

std::string base64(std::span<const std::byte> bytes);

}  // namespace brume::gallery

#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brume/gallery/thumbnail.h"
#include "brume/image/png.h"

namespace brume::gallery {

/// What a page tells of a picture. All texts are untrusted.
struct Caption {
  std::string prompt;
  std::string negative_prompt;
  std::vector<std::pair<std::string, std::string>> fields;  // "cfg scale" -> "7"
};

/// Of a picture of ours, of A1111's or of neither. The fields of both programs get the same names, those that
/// people look for first.
Caption caption_of(const std::vector<PngText>& texts, PngSize size, std::optional<int64_t> index);

/// A picture's place on a page, a list item. `number` is its own on this page; `link` leads from the page to
/// the picture.
std::string card_html(size_t number, const std::filesystem::path& link, const Caption& caption,
                      const Thumbnail& thumbnail);

}  // namespace brume::gallery

#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "brume/base/file.h"
#include "brume/gallery/picture_list.h"

namespace brume::gallery {

/// More than this no browser shows on one page.
inline constexpr size_t kMostPictures = 100'000;

struct GallerySettings {
  std::filesystem::path directory;
  std::filesystem::path page_directory;  // that the links lead from
  Depth depth = Depth::kOwnFiles;
  std::function<void(const std::string& line)> note;  // hears of what cannot be shown
  std::function<bool()> stop_requested;
};

struct GalleryTally {
  int64_t shown = 0;
  int64_t failed = 0;
  bool stopped = false;
};

/// Gives the page of a directory's pictures to `sink`, picture by picture: one is held at a time. Contact
/// sheets of ours are left out. Throws kInputInvalid for a directory that cannot be read or has too many.
GalleryTally write_gallery(const GallerySettings& settings, const ByteSink& sink);

}  // namespace brume::gallery

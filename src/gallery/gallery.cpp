#include "brume/gallery/gallery.h"

#include <span>
#include <system_error>
#include <vector>

#include "brume/base/error.h"
#include "brume/gallery/card.h"
#include "brume/gallery/contact_sheet.h"
#include "brume/gallery/page.h"
#include "brume/gallery/thumbnail.h"

namespace brume::gallery {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxFile = uint64_t{512} << 20;

void give(const ByteSink& sink, const std::string& text) { sink(std::as_bytes(std::span(text))); }

PngContents read_picture(const fs::path& file) {
  const std::string bytes = read_text_file(file, kMaxFile, ExitCode::kInputInvalid);
  return read_png(std::as_bytes(std::span(bytes)), file.string());
}

/// Both by their real places, so that links lead out of no directory that is itself a link.
fs::path way(const fs::path& from, const fs::path& to) {
  return fs::canonical(to).lexically_relative(fs::canonical(from));
}

std::string title_of(const fs::path& directory) {
  const fs::path name = fs::canonical(directory).filename();
  return name.empty() ? "/" : name.string();
}

}  // namespace

GalleryTally write_gallery(const GallerySettings& settings, const ByteSink& sink) {
  const std::vector<ListedPicture> pictures = list_pictures(settings.directory, settings.depth);
  if (pictures.size() > kMostPictures) {
    throw Error(ExitCode::kInputInvalid, settings.directory.string(),
                "has " + std::to_string(pictures.size()) + " pictures, more than the " +
                    std::to_string(kMostPictures) + " of one page",
                "move them into several directories");
  }
  const fs::path to_directory = way(settings.page_directory, settings.directory);
  const Thumbnails thumbnails(pictures.size());
  GalleryTally tally;
  give(sink, page_head(title_of(settings.directory)));
  for (const ListedPicture& listed : pictures) {
    if (settings.stop_requested()) {
      tally.stopped = true;
      return tally;
    }
    try {
      const PngContents contents = read_picture(settings.directory / listed.file);
      if (is_contact_sheet(contents.texts)) continue;
      const Caption caption =
          caption_of(contents.texts, {contents.picture.width, contents.picture.height}, listed.index);
      const fs::path link = (to_directory / listed.file).lexically_normal();
      const std::string card =
          card_html(static_cast<size_t>(tally.shown), link, caption, thumbnails.of(contents.picture));
      ++tally.shown;
      give(sink, card);
    } catch (const Error& error) {
      if (error.code() != ExitCode::kInputInvalid) throw;
      ++tally.failed;
      settings.note(error.what());
    }
  }
  give(sink, page_tail());
  return tally;
}

}  // namespace brume::gallery

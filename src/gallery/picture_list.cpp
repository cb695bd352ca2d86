#include "brume/gallery/picture_list.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "brume/base/directory.h"
#include "brume/base/error.h"
#include "brume/batch/journal_record.h"
#include "brume/batch/shard_files.h"

namespace brume::gallery {

namespace fs = std::filesystem;

namespace {

using Indices = std::map<std::string, int64_t>;  // of the files of one directory

/// False at the end, and at a line that is longer than any of ours.
bool next_line(std::ifstream& file, std::string& line) {
  constexpr size_t kMostLine = size_t{1} << 20;
  line.resize(kMostLine);
  if (!file.getline(line.data(), static_cast<std::streamsize>(line.size()))) return false;
  line.resize(static_cast<size_t>(file.gcount()) - (file.eof() ? 0 : 1));
  return true;
}

/// A damaged line tells nothing; the pictures are there all the same.
Indices indices_in(const fs::path& directory) {
  Indices indices;
  for (const batch::Shard& shard : batch::kJournal.shards_in(directory)) {
    const fs::path path = batch::kJournal.of(directory, shard);
    std::error_code gone;
    if (!fs::is_regular_file(path, gone)) continue;
    std::ifstream journal(path);
    std::string line;
    while (next_line(journal, line)) {
      const std::optional<batch::JournalRecord> record = batch::read_journal_line(line);
      if (record && record->status == batch::Status::kDone) indices[record->file] = record->index;
    }
  }
  return indices;
}

bool is_picture_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name.ends_with(".png") && !name.starts_with('.');
}

bool comes_before(const ListedPicture& a, const ListedPicture& b) {
  if (a.index.has_value() != b.index.has_value()) return a.index.has_value();
  if (a.index != b.index) return a.index < b.index;
  return a.file < b.file;
}

class Walk {
 public:
  Walk(fs::path top, Depth depth) : top_(std::move(top)), depth_(depth) {}

  /// Adds the pictures of top / `below`.
  void visit(const fs::path& below) {
    std::vector<fs::path> directories;
    std::vector<ListedPicture> own;
    const Indices indices = indices_in(top_ / below);
    for_each_entry(top_ / below, ExitCode::kOutputFailed, [&](const fs::directory_entry& entry) {
      const std::string name = entry.path().filename().string();
      std::error_code gone;
      if (entry.is_directory(gone)) {
        if (!entry.is_symlink(gone) && !name.starts_with('.')) directories.push_back(below / name);
      } else if (is_picture_name(name) && entry.is_regular_file(gone)) {
        const auto found = indices.find(name);
        own.push_back({below / name, found == indices.end() ? std::nullopt : std::optional(found->second)});
      }
    });
    std::sort(own.begin(), own.end(), comes_before);
    pictures_.insert(pictures_.end(), own.begin(), own.end());
    if (depth_ == Depth::kOwnFiles) return;
    std::sort(directories.begin(), directories.end());
    for (const fs::path& directory : directories) visit(directory);
  }

  std::vector<ListedPicture> take() { return std::move(pictures_); }

 private:
  fs::path top_;
  Depth depth_;
  std::vector<ListedPicture> pictures_;
};

}  // namespace

std::vector<ListedPicture> list_pictures(const fs::path& directory, Depth depth) {
  Walk walk(directory, depth);
  walk.visit({});
  return walk.take();
}

}  // namespace brume::gallery

#include "brume/batch/picture_store.h"

#include <unistd.h>

#include <array>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/shard_files.h"
#include "brume/image/png.h"

namespace brume::batch {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxFile = uint64_t{512} << 20;
constexpr std::array<size_t, 3> kKeyDigits = {0, 8, 32};  // a name that is taken is tried again with more

/// What lies at a name that a picture may get.
enum class Place {
  kFree,
  kItself,   // a whole picture with its key
  kDamaged,  // a file, but no whole picture
  kOther,
};

struct Found {
  Place place = Place::kFree;
  std::string contents;  // of the picture itself
};

Found look_at(const fs::path& file, const JobKey& key) {
  std::error_code failed;
  const fs::file_status status = fs::symlink_status(file, failed);
  if (status.type() == fs::file_type::not_found) return {};
  if (status.type() != fs::file_type::regular) return {Place::kOther, {}};
  Found found{Place::kDamaged, {}};
  try {
    found.contents = read_text_file(file, kMaxFile, ExitCode::kOutputFailed);
    // This reads every pixel and checks every sum.
    const auto texts = read_png_texts(std::as_bytes(std::span(found.contents)), file.string());
    found.place = recipe_key(texts) == key.hex() ? Place::kItself : Place::kOther;
  } catch (const Error&) {
    found.contents.clear();
  }
  return found;
}

/// One that cannot be removed does no harm but the room it takes.
void remove_all(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) ::unlink(file.c_str());
}

/// What killed runs of this shard left, and of others that nobody works on: their lock is held meanwhile, so
/// that none begins.
void remove_temporaries(const fs::path& directory, const Shard& own) {
  std::map<std::string, std::vector<fs::path>> left;
  for (const Temporary& one : temporaries_in(directory)) left[one.mark].push_back(one.file);
  for (const auto& [mark, files] : left) {
    const std::optional<Shard> shard = shard_from_name(mark);
    if (!shard) continue;
    if (*shard == own) {
      remove_all(files);
      continue;
    }
    try {
      const RunLock lock(kJournalLock.of(directory, *shard), directory.string(), Patience::kNone);
      if (lock.holds()) remove_all(files);
    } catch (const Error&) {
      continue;  // it is at work
    }
  }
}

}  // namespace

PictureStore::PictureStore(Journal& journal, StoreOptions options)
    : journal_(journal), options_(std::move(options)) {
  if (journal_.access() == Access::kWrite) remove_temporaries(journal_.directory(), journal_.shard());
}

bool PictureStore::holds(const PictureLabel& label) {
  if (options_.force) return journal_.has_done_now(label.key);
  if (journal_.check(label.key, options_.verify) == State::kDone) return true;
  for (const size_t digits : kKeyDigits) {
    if (adopt(label, options_.names.name_of(label, digits), 0)) return true;
  }
  return false;
}

/// Writes the record of the picture at `name`, if it is this one.
bool PictureStore::adopt(const PictureLabel& label, const std::string& name, double seconds) {
  const Found found = look_at(journal_.directory() / name, label.key);
  if (found.place != Place::kItself) return false;
  if (journal_.access() == Access::kRead) return true;
  // The run that put it there may not have come to this.
  sync_directory(journal_.directory());
  record(label, name, std::as_bytes(std::span(found.contents)), seconds);
  return true;
}

fs::path PictureStore::commit(const PictureLabel& label, std::span<const std::byte> png, double seconds) {
  const fs::path& directory = journal_.directory();
  const std::string mark = journal_.shard().name();
  std::vector<std::string> names;
  const std::optional<std::string> recorded = recorded_name(label.key);
  if (recorded) names.push_back(*recorded);
  for (const size_t digits : kKeyDigits) names.push_back(options_.names.name_of(label, digits));

  for (const std::string& name : names) {
    if (name == options_.kept_free) continue;
    fs::path file = directory / name;
    Place place = look_at(file, label.key).place;
    // Taken by another run since we looked: look again.
    while (place == Place::kFree && !write_new_file(file, png, mark)) place = look_at(file, label.key).place;
    if (place == Place::kItself && !options_.force) {
      if (adopt(label, name, seconds)) return file;
      continue;
    }
    const bool replaced = place == Place::kItself || (place == Place::kDamaged && name == recorded);
    if (replaced) write_file_atomically(file, png, Existing::kReplaceName, mark);
    if (place != Place::kFree && !replaced) continue;
    record(label, name, png, seconds);
    return file;
  }
  throw Error(ExitCode::kOutputFailed, (directory / names.back()).string(),
              "the name is taken by another file", "move that file away");
}

std::optional<std::string> PictureStore::recorded_name(const JobKey& key) const {
  const std::optional<JournalRecord> last = journal_.find(key);
  return last && last->status == Status::kDone ? std::optional(last->file) : std::nullopt;
}

void PictureStore::record(const PictureLabel& label, const std::string& name,
                          std::span<const std::byte> contents, double seconds) {
  journal_.append({.key = label.key,
                   .status = Status::kDone,
                   .file = name,
                   .bytes = contents.size(),
                   .sha256 = hex_digits(sha256(contents)),
                   .reason = {},
                   .index = label.index,
                   .line = label.line,
                   .id = label.id,
                   .seed = label.recipe.seed,
                   .seconds = seconds});
}

void PictureStore::record_failure(const PictureLabel& label, const std::string& reason, double seconds) {
  journal_.append({.key = label.key,
                   .status = Status::kFailed,
                   .file = {},
                   .bytes = 0,
                   .sha256 = {},
                   .reason = reason,
                   .index = label.index,
                   .line = label.line,
                   .id = label.id,
                   .seed = label.recipe.seed,
                   .seconds = seconds});
}

}  // namespace brume::batch

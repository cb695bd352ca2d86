#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "brume/batch/journal.h"
#include "brume/batch/picture_name.h"

namespace brume::batch {

struct StoreOptions {
  PictureNames names;
  Verify verify = Verify::kSize;
  bool force = false;          // nothing counts as done but what this run did
  std::string kept_free = {};  // a name that no picture gets, for something else
};

/// Puts pictures into the journal's directory so that none is lost and none is drawn twice, whenever the run
/// is killed: the file first, whole and lasting, then its record. Nobody else's file is ever replaced.
class PictureStore {
 public:
  /// Removes the temporary files of runs that were killed.
  explicit PictureStore(Journal& journal, StoreOptions options = {});

  /// Whether there is nothing left to draw. A picture that was put there by a run that was killed before it
  /// could write the record gets its record now.
  bool holds(const PictureLabel& label);

  /// Saves a picture whose recipe carries the label's key. Its name is the template's; with the first digits
  /// of its key, or with all, where another picture has that name. A damaged file of its own is replaced.
  /// Throws kOutputFailed.
  std::filesystem::path commit(const PictureLabel& label, std::span<const std::byte> png, double seconds);

  /// Writes down that there will be no picture.
  void record_failure(const PictureLabel& label, const std::string& reason, double seconds);

 private:
  std::optional<std::string> recorded_name(const JobKey& key) const;
  bool adopt(const PictureLabel& label, const std::string& name, double seconds);
  void record(const PictureLabel& label, const std::string& name, std::span<const std::byte> contents,
              double seconds);

  Journal& journal_;
  StoreOptions options_;
};

}  // namespace brume::batch

#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "batch_progress.h"
#include "brume/base/file.h"
#include "brume/batch/batch_listener.h"
#include "brume/batch/journal.h"
#include "brume/image/png.h"

namespace brume::cli {

/// Where the sheet of a journal's pictures goes.
std::filesystem::path sheet_file(const batch::Journal& journal);

/// Remembers which pictures a run's jobs ask for, drawn now or there already, and lays them out on one sheet,
/// DIR/grid.png, at its end: 32 bytes a picture. All it hears goes on to another listener.
class BatchGrid : public batch::PassingListener {
 public:
  /// Both must outlive it. Throws kOutputFailed where the sheet would replace something else.
  BatchGrid(BatchProgress& next, const batch::Journal& journal);

  void on_skipped(const batch::ReadyJob& job) override;
  void on_drawn(const batch::ReadyJob& job, const std::filesystem::path& file, double seconds) override;

  /// Writes the sheet, unless there is no picture or a signal asks for a stop. A picture that cannot be read
  /// leaves its cell white.
  void draw();

  /// The sheet, where it was written.
  const std::optional<std::filesystem::path>& written() const { return written_; }
  int64_t unreadable() const { return unreadable_; }
  bool stopped() const { return stopped_; }

 private:
  struct Entry {
    batch::JobKey key;
    int64_t index;
  };
  void remember(const batch::ReadyJob& job);
  void order();
  std::optional<Picture> read(const Entry& entry);
  bool fill(const ByteSink& sink);

  BatchProgress& progress_;
  const batch::Journal& journal_;
  std::filesystem::path file_;
  std::vector<Entry> entries_;
  PngSize largest_{};
  std::optional<std::filesystem::path> written_;
  int64_t unreadable_ = 0;
  bool stopped_ = false;
};

}  // namespace brume::cli

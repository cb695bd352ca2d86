#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/file.h"
#include "brume/batch/batch_run.h"
#include "brume/batch/journal.h"
#include "brume/image/png.h"

namespace brume::cli {

/// Remembers which pictures a run's jobs ask for, drawn now or there already, and lays them out on one sheet,
/// DIR/grid.png, at its end: 32 bytes a picture. All it hears goes on to another listener.
class BatchGrid : public batch::BatchListener {
 public:
  /// Both must outlive it. Throws kOutputFailed where the sheet would replace something else.
  BatchGrid(batch::BatchListener& next, const batch::Journal& journal);

  void on_bad_line(const batch::BadLine& line) override { next_.on_bad_line(line); }
  void on_skipped(const batch::ReadyJob& job) override;
  void on_drawn(const batch::ReadyJob& job, const std::filesystem::path& file, double seconds) override;
  void on_failed(const batch::Job& job, const std::string& reason) override { next_.on_failed(job, reason); }
  void on_steps(int64_t steps_done) override { next_.on_steps(steps_done); }

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

  batch::BatchListener& next_;
  const batch::Journal& journal_;
  std::filesystem::path file_;
  std::vector<Entry> entries_;
  PngSize largest_{};
  std::optional<std::filesystem::path> written_;
  int64_t unreadable_ = 0;
  bool stopped_ = false;
};

}  // namespace brume::cli

#include "batch_grid.h"

#include <algorithm>
#include <span>
#include <string>
#include <tuple>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/gallery/contact_sheet.h"
#include "signals.h"

namespace brume::cli {

namespace {

constexpr uint64_t kMaxFile = uint64_t{512} << 20;

}  // namespace

std::filesystem::path sheet_file(const batch::Journal& journal) {
  const batch::Shard& shard = journal.shard();
  return journal.directory() / (shard.is_whole() ? "grid.png" : "grid." + shard.name() + ".png");
}

BatchGrid::BatchGrid(BatchProgress& next, const batch::Journal& journal)
    : PassingListener(next), progress_(next), journal_(journal), file_(sheet_file(journal)) {
  gallery::check_replaceable(file_);
}

void BatchGrid::on_skipped(const batch::ReadyJob& job) {
  remember(job);
  PassingListener::on_skipped(job);
}

void BatchGrid::on_drawn(const batch::ReadyJob& job, const std::filesystem::path& file, double seconds) {
  remember(job);
  PassingListener::on_drawn(job, file, seconds);
}

void BatchGrid::remember(const batch::ReadyJob& job) {
  entries_.push_back({job.label.key, job.label.index});
  largest_.width = std::max(largest_.width, static_cast<int>(job.request.width));
  largest_.height = std::max(largest_.height, static_cast<int>(job.request.height));
}

/// By index; a picture that two lines ask for once.
void BatchGrid::order() {
  const auto by_key = [](const Entry& a, const Entry& b) {
    return std::tie(a.key, a.index) < std::tie(b.key, b.index);
  };
  std::sort(entries_.begin(), entries_.end(), by_key);
  const auto same = [](const Entry& a, const Entry& b) { return a.key == b.key; };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.index < b.index; });
}

std::optional<Picture> BatchGrid::read(const Entry& entry) {
  const std::optional<batch::JournalRecord> record = journal_.find(entry.key);
  if (!record || record->status != batch::Status::kDone) return std::nullopt;  // a later try failed
  try {
    const std::filesystem::path file = journal_.directory() / record->file;
    const std::string bytes = read_text_file(file, kMaxFile, ExitCode::kInputInvalid);
    return decode_png(std::as_bytes(std::span(bytes)), file.string());
  } catch (const Error& error) {
    if (error.code() != ExitCode::kInputInvalid) throw;
    progress_.say("note: " + std::string(error.what()));
    return std::nullopt;
  }
}

bool BatchGrid::fill(const ByteSink& sink) {
  const auto count = static_cast<int64_t>(entries_.size());
  const gallery::SheetPlan plan = gallery::plan_sheet(count, largest_);
  if (plan.reduced) {
    progress_.say("note: " + std::to_string(count) + " pictures at full size are more than a PNG holds; " +
                  file_.filename().string() + " shows them at " + std::to_string(plan.cell.width) + " x " +
                  std::to_string(plan.cell.height));
  }
  gallery::ContactSheet sheet(plan, count, sink);
  for (const Entry& entry : entries_) {
    if (stop_signal() != 0) return false;
    if (const std::optional<Picture> picture = read(entry)) {
      sheet.add(*picture);
    } else {
      sheet.add_blank();
      ++unreadable_;
    }
  }
  return true;
}

void BatchGrid::draw() {
  order();
  if (entries_.empty()) {
    progress_.say("note: there is no picture for " + file_.filename().string());
    return;
  }
  gallery::check_replaceable(file_);  // a picture may have got the name meanwhile
  stopped_ = !write_stream_atomically(
      file_, [this](const ByteSink& sink) { return fill(sink); }, journal_.shard().name(),
      Existing::kReplaceName);
  if (!stopped_) written_ = file_;
}

}  // namespace brume::cli

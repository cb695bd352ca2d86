#include "batch_progress.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "batch_summary.h"
#include "events.h"
#include "progress.h"
#include "say.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

using nlohmann::json;

constexpr double kSecondsAMinute = 60;

Show shown(ProgressKind kind) {
  if (kind == ProgressKind::kBar) return Show::kAlways;
  return kind == ProgressKind::kAuto ? Show::kOnTerminals : Show::kNever;
}

}  // namespace

BatchProgress::BatchProgress(ProgressKind kind, ToldJobs jobs)
    : line_(shown(kind)),
      events_(kind == ProgressKind::kEvents),
      files_(std::move(jobs.files)),
      print_paths_(jobs.print_paths),
      steps_each_(jobs.count ? jobs.count->steps_each : 0) {
  if (jobs.count) pictures_ = jobs.count->pictures;
  if (!events_) return;
  json event = {{"event", "start"}};
  if (pictures_) event["pictures"] = *pictures_;
  tell("", event);
}

std::string BatchProgress::place_of(size_t file, int64_t line) const {
  return (files_.size() > 1 ? files_.at(file) + " " : "") + "line " + std::to_string(line);
}

json BatchProgress::event_of(const char* name, const batch::Job& job) const {
  json event = {{"event", name}, {"index", job.index}, {"line", job.line}};
  if (files_.size() > 1) event["file"] = files_.at(job.file);
  return event;
}

void BatchProgress::on_bad_line(const batch::BadLine& line) {
  const std::lock_guard guard(mutex_);
  json event = {{"event", "bad_line"}, {"line", line.line}, {"reason", line.reason}};
  if (files_.size() > 1) event["file"] = files_.at(line.file);
  tell(place_of(line.file, line.line) + ": " + line.reason, event);
}

void BatchProgress::on_skipped(const batch::ReadyJob& job) {
  const std::lock_guard guard(mutex_);
  ++skipped_;
  if (events_) tell("", event_of("skipped", job.job));
  draw_line();
}

void BatchProgress::on_note(const batch::Job& job, const std::string& note) {
  const std::lock_guard guard(mutex_);
  json event = event_of("note", job);
  event["text"] = note;
  tell(place_of(job.file, job.line) + ": " + note, event);
}

void BatchProgress::on_drawn(const batch::ReadyJob& job, const std::filesystem::path& file, double seconds) {
  const std::lock_guard guard(mutex_);
  ++drawn_;
  if (events_) {
    json event = event_of("drawn", job.job);
    event.update({{"seed", job.request.seeds.front()}, {"path", file.string()}, {"seconds", seconds}});
    tell("", event);
  }
  if (print_paths_) {
    line_.clear();
    if (!print_path(file)) told_paths_ = false;
  }
  draw_line();
}

void BatchProgress::on_failed(const batch::FailedJob& failed) {
  const std::lock_guard guard(mutex_);
  ++failed_;
  json event = event_of("failed", failed.job);
  event["reason"] = failed.reason;
  tell(place_of(failed.job.file, failed.job.line) + " failed: " + failed.reason, event);
}

void BatchProgress::on_worker_died(const batch::WorkerName& worker, const std::string& why) {
  say("note: " + worker.text() + " died and is started again: " + why);
}

void BatchProgress::on_worker_given_up(const batch::LostWorker& worker) {
  const std::lock_guard guard(mutex_);
  json event = lost_worker_json(worker);
  event["event"] = "given_up";
  tell("warning: " + worker.name.text() + " is given up, the others go on: " + worker.why, event);
}

void BatchProgress::on_steps(int64_t steps_done) {
  const std::lock_guard guard(mutex_);
  steps_ = steps_done;
  if (!first_step_ && steps_ > 0) {
    first_step_ = Clock::now();
    first_steps_ = steps_;
  }
  if (line_.due()) draw_line();
  constexpr std::chrono::seconds kBetween{1};
  if (!events_ || Clock::now() - last_told_ < kBetween) return;
  last_told_ = Clock::now();
  json event = {{"event", "progress"}, {"steps", steps_},   {"drawn", drawn_},
                {"skipped", skipped_}, {"failed", failed_}, {"seconds", seconds_since_start()}};
  event["pictures_per_minute"] = pictures_a_minute();
  if (const std::optional<double> left = seconds_left()) event["eta_seconds"] = *left;
  if (pictures_) event["pictures"] = std::max(*pictures_, drawn_ + skipped_ + failed_);
  print_event(event);
}

void BatchProgress::on_planned() {
  const std::lock_guard guard(mutex_);
  ++planned_;
  if (!line_.due()) return;
  const int64_t over = planned_ + skipped_ + failed_;
  const std::string bar =
      pictures_ && *pictures_ > 0 ? bar_text(std::min(over, *pictures_), *pictures_) + " " : "";
  line_.draw(bar + std::to_string(over) + " pictures looked at");
}

void BatchProgress::say(const std::string& line) {
  const std::lock_guard guard(mutex_);
  tell(line, {{"event", "note"}, {"text", line}});
}

void BatchProgress::end(const json& summary) {
  const std::lock_guard guard(mutex_);
  line_.clear();
  json event = summary;
  event["event"] = "end";
  if (events_) print_event(event);
}

double BatchProgress::seconds_since_start() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

double BatchProgress::pictures_a_minute() const {
  return static_cast<double>(drawn_) * kSecondsAMinute / std::max(seconds_since_start(), 1e-3);
}

std::optional<double> BatchProgress::seconds_left() const {
  if (!pictures_) return {};
  const auto drawable = static_cast<double>(*pictures_ - skipped_ - failed_);
  if (first_step_ && steps_ > first_steps_) {
    const double seconds = std::chrono::duration<double>(Clock::now() - *first_step_).count();
    const double left = std::max(drawable * steps_each_ - static_cast<double>(steps_), 0.0);
    return left * seconds / static_cast<double>(steps_ - first_steps_);
  }
  if (drawn_ == 0) return {};
  return seconds_since_start() * (drawable - static_cast<double>(drawn_)) / static_cast<double>(drawn_);
}

void BatchProgress::tell(const std::string& line, const json& event) {
  line_.clear();
  if (events_) {
    print_event(event);
  } else {
    cli::say(line);
  }
}

void BatchProgress::draw_line() {
  if (!line_.shown()) return;  // a million skipped jobs come by here
  const double seconds = seconds_since_start();
  const int64_t over = drawn_ + skipped_ + failed_;
  if (pictures_) pictures_ = std::max(*pictures_, over);  // a shard's is not exact
  std::string text;
  if (pictures_ && *pictures_ > 0) text = bar_text(over, *pictures_) + " ";
  text += std::to_string(over) + (pictures_ ? "/" + std::to_string(*pictures_) : "") + " pictures";
  // First, for it is what a narrow terminal must not cut off.
  if (const std::optional<double> left = seconds_left()) text += "  " + duration_text(*left) + " left";
  if (seconds > 0) {
    std::array<char, 64> rates{};
    std::snprintf(rates.data(), rates.size(), "  %.1f a minute  %.1f steps/s", pictures_a_minute(),
                  static_cast<double>(steps_) / seconds);
    text += rates.data();
  }
  if (failed_ > 0) text += "  " + std::to_string(failed_) + " failed";
  line_.draw(text);
}

}  // namespace brume::cli

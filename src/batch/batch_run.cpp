#include "brume/batch/batch_run.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/image/png.h"

namespace brume::batch {

using Guard = std::lock_guard<std::mutex>;

namespace {

void add(const Busy& more, Busy& sum) {
  sum.load += more.load;
  sum.text += more.text;
  sum.denoise += more.denoise;
  sum.decode += more.decode;
  sum.write += more.write;
}

/// What the reader should know of a picture.
std::vector<std::string> notes_for_reader(const Made& made, const ReadyJob& job) {
  std::vector<std::string> lines;
  for (const std::string& note : made.result.notes) {
    if (note.starts_with(kPromptCut))
      lines.push_back("the prompt is too long for this model; its last" + note.substr(kPromptCut.size()) +
                      " tokens are not seen");
    if (note.starts_with(kPromptIgnored)) lines.push_back("prompt:" + note.substr(kPromptIgnored.size()));
  }
  for (const std::string& name : job.unknown_wildcards)
    lines.push_back("__" + name + "__ stands for itself; name a directory with --wildcards");
  return lines;
}

}  // namespace

FeedFaults BatchRun::faults() {
  return {.bad_line =
              [this](const BadLine& line) {
                const Guard guard(mutex_);
                ++tally_.bad_lines;
                failed_ = true;
                BadLine told = line;
                told.reason = bounded(line.reason, kMostReason);
                listener_.on_bad_line(told);
              },
          .refused =
              [this](const Job& job, const Error& error) {
                const Guard guard(mutex_);
                fail({job, error.what()});
              }};
}

std::optional<ReadyJob> BatchRun::next(JobFeed& feed) {
  while (std::optional<ReadyJob> job = feed.next()) {
    if (!skip(*job) && feed.has_room(*job) && feed.can_read_pictures(*job)) return job;
  }
  return {};
}

/// Passes over a job that is there already, or on its way.
bool BatchRun::skip(const ReadyJob& job) {
  const Guard guard(mutex_);
  if (!keys_.contains(job.label.key) && !store_.holds(job.label)) return false;
  ++tally_.skipped;
  listener_.on_skipped(job);
  return true;
}

Work BatchRun::begin(ReadyJob job) {
  const Guard guard(mutex_);
  const uint64_t ticket = tickets_++;
  keys_.insert(job.label.key);
  Work work{ticket, job.request};
  on_their_way_.emplace(ticket, OnItsWay{std::move(job), std::chrono::steady_clock::now()});
  return work;
}

void BatchRun::take(Made made) {
  OnItsWay work;
  {
    const Guard guard(mutex_);
    work = std::move(on_their_way_.extract(made.ticket).mapped());
  }
  std::vector<std::byte> png;
  if (made.result.picture) {
    Recipe recipe = work.job.label.recipe;
    if (!made.device.empty()) recipe.engine.device = made.device;
    recipe.notes.insert(recipe.notes.begin(), made.result.notes.begin(), made.result.notes.end());
    png = encode_png(*made.result.picture, recipe_texts(recipe));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - work.begun).count();
  const Guard guard(mutex_);
  if (made.result.picture) {
    const std::filesystem::path file = store_.commit(work.job.label, png, seconds);
    ++tally_.drawn;
    for (const std::string& note : notes_for_reader(made, work.job))
      listener_.on_note(work.job.job, bounded(note, kMostReason));
    listener_.on_drawn(work.job, file, seconds);
  } else {
    // First into the list: it alone says what has failed.
    fail({work.job.job, made.failure, work.job.label.key});
    store_.record_failure(work.job.label, made.failure, seconds);
  }
  keys_.erase(work.job.label.key);  // from here on the store holds it
}

void BatchRun::fail(FailedJob failed) {
  ++tally_.failed;
  failed_ = true;
  failed.reason = bounded(failed.reason, kMostReason);
  listener_.on_failed(failed);
}

/// First those that were begun, in their order.
std::optional<Job> BatchRun::next_refused(JobGroups& group) {
  if (!on_their_way_.empty()) {
    ReadyJob begun = std::move(on_their_way_.extract(on_their_way_.begin()).mapped().job);
    keys_.erase(begun.label.key);
    return std::move(begun.job);
  }
  std::optional<ReadyJob> job = group.next();
  return job ? std::optional(std::move(job->job)) : std::nullopt;
}

void BatchRun::refuse(JobGroups& group, const std::string& reason, const std::function<int()>& stop_signal) {
  while (!stopped_) {
    const std::optional<Job> job = next_refused(group);
    if (job) {
      const Guard guard(mutex_);
      fail({*job, reason});
    }
    stopped_ = (job && fail_fast_) || stop_signal() != 0;
    if (!job) return;
  }
}

Runner::Source BatchRun::source(JobGroups& group) {
  return [this, &group]() -> std::optional<Work> {
    while (std::optional<ReadyJob> job = group.next()) {
      // Looked at again: one that was passed over may have been drawn for its twin.
      if (!skip(*job)) return begin(std::move(*job));
    }
    return {};
  };
}

Runner::Sink BatchRun::sink() {
  return [this](Made made) { take(std::move(made)); };
}

/// Runs a Runner or a WorkerPool, and takes account of it whatever its end.
template <class Drawing>
void BatchRun::run(std::optional<Drawing>& drawing) {
  drew_ = true;
  const auto settle = [&] {
    add(drawing->busy(), busy_);
    steps_ += drawing->steps_done();
    drawing.reset();
  };
  try {
    stopped_ = !drawing->run();
  } catch (...) {
    settle();
    throw;
  }
  settle();
}

void BatchRun::draw(const Pipeline& pipeline, const RunnerSettings& settings, JobGroups& group,
                    std::function<int()> stop_signal) {
  const auto stop = [this, stop_signal = std::move(stop_signal)] {
    listener_.on_steps(steps_done());
    return stop_signal() != 0 || (fail_fast_ && failed_);
  };
  runner_.emplace(pipeline, settings, source(group), sink(), stop);
  run(runner_);
}

WorkerFaults BatchRun::worker_faults() {
  return {.died =
              [this](const WorkerName& worker, const std::string& why) {
                const Guard guard(mutex_);
                listener_.on_worker_died(worker, why);
              },
          .given_up =
              [this](const LostWorker& worker, bool is_last) {
                const Guard guard(mutex_);
                lost_workers_.push_back(worker);
                if (!is_last) listener_.on_worker_given_up(worker);  // else it is told as what ends the batch
              }};
}

void BatchRun::draw_by_workers(WorkerPoolSettings settings, JobGroups& group,
                               std::function<int()> stop_signal) {
  const auto stop = [this, stop_signal = std::move(stop_signal)] {
    listener_.on_steps(steps_done());
    workers_memory_ = std::max(workers_memory_, workers_->workers_memory());
    const int signal = stop_signal();
    return signal != 0 ? signal : (fail_fast_ && failed_ ? SIGTERM : 0);
  };
  settings.faults = worker_faults();
  workers_.emplace(std::move(settings), source(group), sink(), stop);
  run(workers_);
}

bool BatchRun::ending() const {
  return (fail_fast_ && failed_) || (runner_ && runner_->ending()) || (workers_ && workers_->ending());
}

int64_t BatchRun::steps_done() const {
  return steps_ + (workers_ ? workers_->steps_done() : 0) + (runner_ ? runner_->steps_done() : 0);
}

BatchTally BatchRun::tally() const {
  const Guard guard(mutex_);
  return tally_;
}

}  // namespace brume::batch

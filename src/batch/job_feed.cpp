#include "brume/batch/job_feed.h"

#include <limits>
#include <utility>
#include <variant>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/batch/job_defaults.h"
#include "brume/batch/job_key.h"
#include "brume/batch/job_line.h"
#include "brume/image/picture_file.h"
#include "brume/pipeline/request_recipe.h"

namespace brume::batch {

namespace {

constexpr uint64_t kMostSeed = 0xFFFFFFFF;  // what other programs' seeds go up to

}  // namespace

JobFeed::JobFeed(JobsReader reader, const ModelConfig& model, FeedSettings settings, FeedFaults faults)
    : reader_(std::move(reader)),
      model_(model),
      settings_(std::move(settings)),
      faults_(std::move(faults)),
      reports_(settings_.shard.index == 0) {}

std::optional<ReadyJob> JobFeed::next() {
  while (true) {
    while (!pictures_.empty()) {
      Job job = std::move(pictures_.front());
      pictures_.pop_front();
      if (std::optional<ReadyJob> picture = ready(std::move(job))) return picture;
    }
    std::optional<JobOrBadLine> line = reader_.next();
    if (!line) return {};
    if (const auto* bad = std::get_if<BadLine>(&*line)) {
      tell_bad(*bad);
    } else {
      take(std::get<Job>(*line));
    }
  }
}

void JobFeed::tell_bad(const BadLine& line) {
  if (reports_)
    faults_.bad_line(line);
  else
    ++left_to_first_;
}

void JobFeed::refuse(const Job& job, const Error& reason) {
  if (reports_)
    faults_.refused(job, reason);
  else
    ++left_to_first_;
}

/// Gives each picture of a job its seed and its index.
void JobFeed::take(const Job& job) {
  Job complete = job;
  complete_job(complete.settings, settings_.defaults);
  if (!complete.settings.prompt) {
    const Error refusal(ExitCode::kUsage, "the job", "has no prompt",
                        "write one, an empty one for none, or give all of them --prompt");
    refuse(complete, refusal);
    return;
  }
  const bool chosen = complete.settings.seed.value_or(-1) >= 0;
  const int64_t seeds = job.copies * settings_.pictures_each;
  const int64_t more = seeds - 1;
  if (chosen && *complete.settings.seed > std::numeric_limits<int64_t>::max() - more) {
    const Error refusal(ExitCode::kUsage, "--seed " + std::to_string(*complete.settings.seed),
                        "the " + std::to_string(more) + " seeds after it are too large", "use a smaller one");
    refuse(complete, refusal);
    return;
  }
  const uint64_t first = chosen ? 0 : first_seed(job, seeds);
  for (int64_t i = 0; i < settings_.pictures_each; ++i) {
    Job picture = complete;
    const int64_t later = job.copy * settings_.pictures_each + i;
    picture.settings.seed = chosen ? *complete.settings.seed + later
                                   : static_cast<int64_t>((first + static_cast<uint64_t>(later)) & kMostSeed);
    picture.index = (job.index - 1) * settings_.pictures_each + i + 1;
    if (!job.id.empty() && settings_.pictures_each > 1) picture.id += "-" + std::to_string(i + 1);
    pictures_.push_back(std::move(picture));
  }
}

/// Of `count` seeds, one after the other, that the job and those that share them with it have.
uint64_t JobFeed::first_seed(const Job& job, int64_t count) {
  Job anonymous;  // neither its place nor its name, nor what the command line says
  anonymous.settings = job.unswept.value_or(job.settings);
  anonymous.settings.seed.reset();
  const std::string text = to_json_line(anonymous);
  if (line_seeds_.file != job.file || line_seeds_.line != job.line) line_seeds_ = {job.file, job.line, {}};
  const uint64_t hash = short_digest(text);
  const auto known = line_seeds_.first.find(hash);
  if (known != line_seeds_.first.end() && (job.copy > 0 || (job.unswept && !job.repeats)))
    return known->second;
  const Occurrences::Seen seen = occurrences_.count(text);
  for (int64_t i = 1; i < count; ++i) occurrences_.count(text);
  const uint64_t first = seen.hash + seen.before;
  if (job.unswept || job.copies > 1) line_seeds_.first[hash] = first;
  return first;
}

/// Nothing for a picture that is another shard's, or that does not fit the model.
std::optional<ReadyJob> JobFeed::ready(Job job) {
  const auto seed = static_cast<uint64_t>(*job.settings.seed);
  ReadyJob ready;
  try {
    ready.request = model_.resolve(job.settings, {seed});
    ready.unknown_wildcards = make_choices(ready.request, seed, settings_.wildcards);
    model_.check_fit(ready.request);
    model_.check_pictures(ready.request);
    if (settings_.adapters) settings_.engine.adapters = settings_.adapters(ready.request);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kUsage && error.code() != ExitCode::kInputInvalid) throw;
    refuse(job, error);
    return {};
  }
  ready.label.recipe = recipe_of(ready.request, seed, settings_.engine);
  note_embeddings(model_, ready.request, ready.label.recipe);
  ready.label.key = job_key(ready.label.recipe, settings_.engine.model_hash);
  if (!settings_.keep_others && !settings_.shard.owns(ready.label.key)) return {};
  ready.label.recipe.key = ready.label.key.hex();
  ready.label.index = job.index;
  ready.label.line = job.line;
  ready.label.id = job.id;
  ready.job = std::move(job);
  return ready;
}

bool JobFeed::has_room(const ReadyJob& job) const {
  if (settings_.keep_too_large) return true;
  try {
    if (settings_.in_parts && settings_.memory)
      model_.check_least_memory(job.request, settings_.dtype, *settings_.memory);
    else
      model_.check_memory(job.request, settings_.dtype, settings_.memory);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kOutOfMemory) throw;
    faults_.refused(job.job, error);
    return false;
  }
  return true;
}

bool JobFeed::can_read_pictures(const ReadyJob& job) const {
  const std::optional<PictureEdit>& edit = job.request.edit;
  if (!edit) return true;
  try {
    read_picture(edit->picture);
    if (edit->mask) read_picture(*edit->mask);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kInputInvalid) throw;
    faults_.refused(job.job, error);
    return false;
  }
  return true;
}

}  // namespace brume::batch

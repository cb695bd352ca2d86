#include "generate_run.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "brume/base/file.h"
#include "brume/image/png.h"
#include "brume/image/recipe.h"
#include "brume/pipeline/request_recipe.h"
#include "brume/text/wildcard_files.h"
#include "latents_file.h"
#include "say.h"
#include "signals.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

using nlohmann::json;

void add_times(PhaseTimes& sum, const PhaseTimes& more) {
  sum.text_seconds += more.text_seconds;
  sum.encode_seconds += more.encode_seconds;
  sum.denoise_seconds += more.denoise_seconds;
  sum.decode_seconds += more.decode_seconds;
}

/// The part of a run's request that one call of the pipeline does.
Request batch_of(const Request& all, size_t first, size_t count) {
  Request batch = all;
  batch.seeds.assign(all.seeds.begin() + static_cast<std::ptrdiff_t>(first),
                     all.seeds.begin() + static_cast<std::ptrdiff_t>(first + count));
  if (all.init_latents) {
    batch.init_latents =
        all.init_latents->narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(count));
  }
  return batch;
}

}  // namespace

void RunObserver::on_stage(std::string_view name, const at::Tensor& tensor) {
  if (keep_stages_) stages_.insert_or_assign(std::string(name), tensor);
}

void RunObserver::on_step(int64_t done, int64_t total) {
  if (!first_step_) first_step_ = std::chrono::steady_clock::now();
  bar_.advance(before_ + batch_ * done);
  last_total_ = total;
}

bool RunObserver::stop_requested() { return stop_signal() != 0; }

void RunObserver::begin_batch(int64_t pictures) {
  before_ += batch_ * last_total_;
  batch_ = pictures;
}

GenerateRun::GenerateRun(const Pipeline& pipeline, AskedPictures all, const RunOptions& options,
                         PictureFiles files, RecipeEngine engine)
    : pipeline_(pipeline),
      all_(all.request),
      pixels_(std::move(all.pixels)),
      options_(options),
      wildcards_(wildcards_in(options.wildcards)),
      files_(std::move(files)),
      engine_(std::move(engine)),
      observer_(options.batch_count, all_.sampling.steps_taken(), options.dump_stages.has_value()) {}

/// What all pictures begin with; nothing where that is noise alone.
std::optional<PictureInputs> GenerateRun::take_inputs() {
  if (!pixels_) return {};
  const auto start = std::chrono::steady_clock::now();
  PictureInputs inputs = pipeline_.picture_inputs(all_, *pixels_);
  pixels_.reset();
  tally_.times.encode_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return inputs;
}

/// The pictures from `first` on, as many as share a call of the UNet: their choices must be the same.
Request GenerateRun::next_batch(size_t first) const {
  const size_t most = std::min(static_cast<size_t>(options_.batch_size), all_.seeds.size() - first);
  Request batch = all_;
  make_choices(batch, all_.seeds[first], wildcards_);
  size_t count = 1;
  for (; count < most && has_choices(all_); ++count) {
    Request next = all_;
    make_choices(next, all_.seeds[first + count], wildcards_);
    if (next.prompt != batch.prompt || next.negative_prompt != batch.negative_prompt) break;
  }
  return batch_of(batch, first, has_choices(all_) ? count : most);
}

void GenerateRun::draw_all() {
  std::optional<PictureInputs> inputs = take_inputs();
  for (size_t first = 0; first < all_.seeds.size() && stop_signal() == 0;) {
    const Request batch = next_batch(first);
    const size_t count = batch.seeds.size();
    observer_.begin_batch(static_cast<int64_t>(count));
    const Generation made = pipeline_.generate(batch, observer_, inputs);
    if (made.stopped) return;
    observer_.bar().clear();
    add_times(tally_.times, made.times);
    if (options_.save_latents) latents_.push_back(made.latents);
    for (size_t i = 0; i < count; ++i) deliver(batch, made.pictures[i], first + i);
    first += count;
  }
}

void GenerateRun::save_tensors() const {
  if (!latents_.empty()) write_tensors(*options_.save_latents, {{"latents", at::cat(latents_)}});
  if (options_.dump_stages) write_tensors(*options_.dump_stages, observer_.stages());
}

void GenerateRun::deliver(const Request& batch, const PictureResult& result, size_t index) {
  json entry = {{"seed", result.seed}};
  if (!result.picture) {
    entry["path"] = nullptr;
    entry["failed"] = result.failed_stage;
    tally_.pictures.push_back(std::move(entry));
    ++tally_.failed;
    say("the picture of seed " + std::to_string(result.seed) + " has numbers that are not finite (" +
        result.failed_stage + "); it is not saved");
    return;
  }
  Recipe recipe = recipe_of(batch, result.seed, engine_);
  note_embeddings(pipeline_.model(), batch, recipe);
  recipe.notes.insert(recipe.notes.begin(), result.notes.begin(), result.notes.end());
  const std::optional<std::filesystem::path> path =
      files_.write(index, encode_png(*result.picture, recipe_texts(recipe)));
  if (path) entry["path"] = path->string();
  entry["notes"] = result.notes;
  if (batch.typed) {
    entry["chosen_prompt"] = batch.prompt;
    if (batch.negative_prompt) entry["chosen_negative_prompt"] = *batch.negative_prompt;
  }
  tally_.pictures.push_back(std::move(entry));
  if (path && !options_.json) tally_.told = print_path(*path);
}

}  // namespace brume::cli

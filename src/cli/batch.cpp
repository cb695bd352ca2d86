#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "adapter_options.h"
#include "adapter_sets.h"
#include "batch_grid.h"
#include "batch_plan.h"
#include "batch_progress.h"
#include "batch_summary.h"
#include "brume/base/digest.h"
#include "brume/base/directory.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/batch_run.h"
#include "brume/batch/failure_list.h"
#include "brume/batch/job_defaults.h"
#include "brume/batch/key_index.h"
#include "brume/batch/model_digest.h"
#include "brume/batch/unfinished.h"
#include "brume/bench/rounds.h"
#include "brume/pipeline/embeddings.h"
#include "brume/pipeline/memory.h"
#include "brume/pipeline/request_recipe.h"
#include "brume/text/wildcard_files.h"
#include "commands.h"
#include "count_text.h"
#include "engine_choices.h"
#include "engine_commands.h"
#include "events.h"
#include "notes.h"
#include "open_pipeline.h"
#include "progress.h"
#include "signals.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

using batch::BatchTally;
using nlohmann::json;
using Seconds = std::chrono::duration<double>;
using Clock = std::chrono::steady_clock;

bool holds_pictures(const std::filesystem::path& directory) {
  bool any = false;
  for_each_entry(directory, ExitCode::kOutputFailed, [&any](const std::filesystem::directory_entry& entry) {
    any = any || entry.path().extension() == ".png";
  });
  return any;
}

/// One command's work, from its options to its exit code.
class Batch {
 public:
  explicit Batch(const BatchOptions& options)
      : options_(options),
        journal_(options.directory, batch::shard_from_text(options.shard, std::getenv),
                 options.plan ? batch::Access::kRead : batch::Access::kWrite),
        store_(journal_, {batch::PictureNames(options.names),
                          options.resume ? batch::Verify::kContents : batch::Verify::kSize, options.force,
                          options.grid ? sheet_file(journal_).filename().string() : ""}),
        workers_(options.workers()),
        compute_(workers_.empty() ? open_compute(options.engine)
                                  : compute_of(options.engine, workers_.front())),
        model_(open_checked(options)),
        adapters_(model_, options.engine.adapters),
        model_hash_(digest()),
        rows_(rows_of(options.use, compute_, model_)),
        failure_file_(options.plan ? nullptr : std::make_unique<batch::FailureFile>(failure_place())),
        progress_(options.progress_kind(), {options.places, !options.json && !options.plan, count_jobs()}),
        grid_(options.grid && !options.plan ? std::make_unique<BatchGrid>(progress_, journal_) : nullptr),
        failures_(failure_file_ ? std::make_unique<batch::FailureList>(listener(), *failure_file_) : nullptr),
        run_(store_, failures_ ? static_cast<batch::BatchListener&>(*failures_) : progress_,
             options.fail_fast),
        feed_(batch::JobsReader(options.places, [this] { return stop_signal() != 0 || run_.ending(); }),
              model_, feed_settings(), run_.faults()),
        groups_([this] { return run_.next(feed_); }, most_passed_over()) {
    for (const std::string& remark : journal_.remarks()) progress_.say("note: " + remark);
  }

  int plan() {
    BatchPlan plan(model_, {.compute = compute_,
                            .runner = runner_settings(options_.use, options_.engine, compute_, model_),
                            .workers = static_cast<int64_t>(workers_.size())});
    batch::KeyIndex planned;  // a job asked for twice is drawn once
    while (const std::optional<batch::ReadyJob> job = run_.next(feed_)) {
      progress_.on_planned();
      if (planned.find(job->label.key)) continue;
      planned.set(job->label.key, 1);
      plan.add(*job);
    }
    if (!knows_its_share()) plan.divide(journal_.shard().count);
    const BatchPlan::Estimate estimate = plan.estimate(options_.directory);
    if (!options_.json) {
      for (const std::string& line : plan_lines(estimate)) progress_.say(line);
    }
    say_what_is_not_known();
    if (options_.json) {
      json all = plan_json(estimate);
      all["knows_what_is_there"] = knows_what_is_there();
      all["knows_its_share"] = knows_its_share();
      print_json(all);
    }
    print_left_out(run_.tally());
    check_plan(estimate, options_.directory);
    return code_of(run_.tally(), estimate.pictures + run_.tally().skipped);
  }

  int draw() {
    const PoliteStop polite;
    const batch::UnfinishedMark mark(options_.directory, journal_.shard());
    std::exception_ptr failure;
    const auto attempt = [&failure](const auto& step) {
      try {
        step();
      } catch (...) {
        if (!failure) failure = std::current_exception();  // the first is what it comes from
      }
    };
    attempt([&] {
      while (!run_.stopped() && groups_.begin()) draw_group();
      if (grid_ && !stopped()) grid_->draw();
    });
    attempt([&] {
      failure_file_->settle(!stopped() && !failure);
      if (!stopped() && !failure) mark.finish();
    });
    // What is done is told all the same.
    attempt([&] {
      print_grid();
      print_summary();
    });
    if (failure) std::rethrow_exception(failure);
    return exit_code();
  }

 private:
  static ModelConfig open_checked(const BatchOptions& options) {
    ModelConfig model = open_model(options.engine);
    embed(model, options.engine.embeddings);
    batch::check_defaults(options.picture, model);
    return model;
  }

  /// A plan does not read the weights, which may take minutes.
  std::string digest() const {
    const std::vector<NamedFile> files = model_.source().files();
    return options_.plan ? batch::known_model_digest(files, options_.directory).value_or("")
                         : batch::note_model_digest(files, options_.directory, journal_.shard().name());
  }

  /// Without the model's digest nothing that is there can be told from what is not.
  bool knows_what_is_there() const {
    return !model_hash_.empty() || (journal_.size() == 0 && !holds_pictures(options_.directory));
  }
  /// Nor whose a job is.
  bool knows_its_share() const { return !model_hash_.empty() || journal_.shard().is_whole(); }

  void say_what_is_not_known() {
    const std::string why =
        "note: no run has read this model for " + options_.directory.string() + " yet, and a plan does not: ";
    if (!knows_what_is_there()) progress_.say(why + "pictures that are there already are counted too");
    if (!knows_its_share())
      progress_.say(why + "whose a picture is hangs on the weights too; this is an average share of " +
                    std::to_string(journal_.shard().count) + ", the run's may be larger or smaller");
  }

  /// Standard input may not, whatever file is called "-".
  bool may_be_read_twice() const {
    return std::all_of(options_.places.begin(), options_.places.end(), [](const std::string& jobs) {
      std::error_code failed;
      return jobs != "-" && std::filesystem::is_regular_file(jobs, failed);
    });
  }

  /// Of a file that can be read twice; what is wrong with its lines is told the second time. Of a shard about
  /// how many: whose a picture is, only its key says.
  std::optional<JobCount> count_jobs() const {
    if (!may_be_read_twice()) return {};
    const int64_t usual_steps = options_.picture.steps.value_or(model_.source().facts().defaults.steps);
    int64_t jobs = 0;
    int64_t steps = 0;
    batch::JobsReader reader(options_.places);
    while (const std::optional<batch::JobOrBadLine> line = reader.next()) {
      const auto* const job = std::get_if<batch::Job>(&*line);
      if (job == nullptr) continue;
      ++jobs;
      steps += job->settings.steps.value_or(usual_steps);
    }
    const int64_t shards = knows_its_share() ? journal_.shard().count : 1;
    return JobCount{(jobs * options_.pictures_each + shards / 2) / shards,
                    static_cast<double>(steps) / static_cast<double>(std::max<int64_t>(jobs, 1))};
  }

  batch::FeedSettings feed_settings() {
    RecipeEngine engine = recipe_engine(options_.engine, compute_, model_);
    engine.model_hash = model_hash_;
    return {.defaults = options_.picture,
            .pictures_each = options_.pictures_each,
            .shard = journal_.shard(),
            .dtype = compute_.estimate_dtype(),
            .engine = std::move(engine),
            .wildcards = wildcards_in(options_.wildcards),
            .keep_too_large = options_.plan,
            .keep_others = !knows_its_share(),
            .adapters = [this](const Request& request) { return adapters_.recipe(request); },
            .memory = room_of_an_engine(),
            .in_parts = compute_.gpu != nullptr};
  }

  /// Asked once: while pictures are drawn, those on their way hold what the next ones will have.
  std::optional<double> room_of_an_engine() const {
    const std::optional<double> free = compute_.free_memory();
    if (!free) return {};
    if (compute_.gpu) return free;  // where weights need not be
    const auto engines = static_cast<double>(std::max<size_t>(workers_.size(), 1));
    const double weights = bench::weight_bytes(model_, compute_.estimate_dtype());
    return std::max(*free / engines - weights, 0.0);
  }

  /// An adapter that the jobs of a group name may spoil the weights: these jobs fail, and no others. What is
  /// wrong with the model itself would fail them all.
  void draw_group() {
    const Request request = groups_.request();
    try {
      if (workers_.empty()) {
        draw_here(request);
      } else {
        draw_by_workers(request);
      }
    } catch (const Error& error) {
      if (!adapters_.are_to_blame(error, request)) throw;
      run_.refuse(groups_, error.what(), stop_signal);
    }
  }

  void draw_by_workers(const Request& request) {
    const ModelConfig model = adapters_.adapted(request);
    if (const auto& embeddings = model.embeddings()) {
      for (const std::string& line : embeddings->remarks()) say_once("note: " + line);
    }
    if (const Adapters* adapters = model.adapters()) {
      for (const std::string& line : adapters->remarks()) say_once("note: " + line);
      if (options_.engine.verbose) {
        for (const std::string& line : adapters->unmatched()) say_once("note: " + line);
      }
    }
    constexpr double kPatience = 60;
    batch::WorkerPoolSettings settings{.workers = living_workers(adapters_.words(request)),
                                       .most_each = rows_ + 2,
                                       .grace = Seconds(options_.use.grace),
                                       .patience = Seconds(kPatience)};
    run_.draw_by_workers(std::move(settings), groups_, stop_signal);
  }

  /// Those that no group before gave up.
  std::vector<batch::WorkerSlot> living_workers(const std::vector<std::string>& adapters) const {
    std::vector<batch::WorkerSlot> slots;
    for (const std::string& device : workers_)
      slots.push_back(
          {{static_cast<int64_t>(slots.size()) + 1, device}, options_.worker_command(device, adapters)});
    for (const batch::LostWorker& lost : run_.lost_workers())
      std::erase_if(slots,
                    [&](const batch::WorkerSlot& slot) { return slot.name.number == lost.name.number; });
    return slots;
  }

  void draw_here(const Request& request) {
    const auto start = Clock::now();
    if (options_.engine.verbose) progress_.say("loading " + loaded_text(request));
    const Pipeline pipeline = open_pipeline(adapters_.adapted(request), compute_);
    load_seconds_ += Seconds(Clock::now() - start).count();
    for (const std::string& line : remark_lines(pipeline, options_.engine.verbose)) say_once(line);
    const batch::RunnerSettings settings = runner_settings(options_.use, options_.engine, compute_, model_);
    if (options_.engine.verbose)
      progress_.say(count_text(rows_, "picture") + " in a call, " + count_text(settings.threads, "thread"));
    run_.draw(pipeline, settings, groups_, stop_signal);
  }

  std::string loaded_text(const Request& request) const {
    return model_.source().path().string() + (request.adapters ? " with " + request.adapters->adapters : "");
  }

  /// A note that each group has.
  void say_once(const std::string& line) {
    if (said_.insert(line).second) progress_.say(line);
  }

  /// Jobs that come from a program are drawn in their order, since it may wait for one before it sends the
  /// next.
  size_t most_passed_over() const {
    constexpr size_t kMost = 1000;
    return may_be_read_twice() ? kMost : 0;
  }

  /// Its path, after those of the pictures.
  void print_grid() {
    if (!grid_ || !grid_->written() || options_.json) return;
    told_ = print_path(*grid_->written());
  }

  /// Before all of the jobs were seen to.
  bool stopped() const { return run_.stopped() || !feed_.ended(); }

  batch::BatchListener& listener() { return grid_ ? static_cast<batch::BatchListener&>(*grid_) : progress_; }

  batch::FailurePlace failure_place() const {
    batch::FailurePlace place{
        .directory = options_.directory, .shard = journal_.shard(), .jobs = {}, .defaults = options_.picture};
    for (const std::filesystem::path jobs : options_.places) {
      std::error_code failed;
      const bool stream = jobs == "-" || std::filesystem::is_other(std::filesystem::status(jobs, failed));
      place.jobs.push_back(stream ? std::filesystem::path()
                                  : std::filesystem::weakly_canonical(jobs, failed));
    }
    return place;
  }

  void print_left_out(const BatchTally& tally) {
    if (tally.skipped > 0)
      progress_.say(count_text(tally.skipped, "picture") + (tally.skipped == 1 ? " is" : " are") +
                    " there already");
    if (tally.bad_lines > 0)
      progress_.say(count_text(tally.bad_lines, "line") + (tally.bad_lines == 1 ? " asks" : " ask") +
                    " for nothing that can be drawn");
    if (tally.failed > 0)
      progress_.say(count_text(tally.failed, "picture") + (tally.failed == 1 ? " does" : " do") +
                    " not fit the model");
    print_left_to_first();
  }

  /// What is wrong for every shard is told once, so that what all of them tell adds up.
  void print_left_to_first() {
    if (const int64_t left = feed_.left_to_first(); left > 0)
      progress_.say("note: shard 0/" + std::to_string(journal_.shard().count) + " tells of " +
                    count_text(left, "line or job", "lines and jobs") + " that can be no shard's");
  }

  BatchSummary summary() const {
    std::error_code failed;
    const bool listed = std::filesystem::exists(failure_file_->file(), failed);
    return {.tally = run_.tally(),
            .directory = options_.directory,
            .failures = listed ? std::optional(failure_file_->file()) : std::nullopt,
            .grid = grid_ ? grid_->written() : std::nullopt,
            .stopped_by = stopped() ? stop_signal() : 0,
            .steps = run_.steps_done(),
            .batch_size = rows_,
            .seconds = Seconds(Clock::now() - start_).count(),
            .load_seconds = load_seconds_ + (run_.busy() != nullptr ? run_.busy()->load.load() : 0),
            .peak_memory = compute_.peak_memory() + run_.workers_memory(),
            .busy = run_.busy(),
            .lost_workers = run_.lost_workers()};
  }

  void print_summary() {
    const BatchSummary summary = this->summary();
    print_left_to_first();
    if (!options_.json) progress_.say(summary_line(summary));
    if (!options_.json && summary.tally.drawn > 0) progress_.say(phases_line(summary));
    progress_.end(summary_json(summary));
    if (options_.json) told_ = print_json(summary_json(summary));
  }

  int exit_code() const {
    // What nobody has read was not told, though all is drawn.
    const bool to_the_end = !stopped() && (!grid_ || !grid_->stopped()) && told_ && progress_.told_paths();
    if (stop_signal() != 0 && !to_the_end) return signal_exit_code(stop_signal());
    const BatchTally tally = run_.tally();
    if (grid_ && grid_->unreadable() > 0) return static_cast<int>(ExitCode::kItemsFailed);
    return code_of(tally, tally.drawn + tally.skipped);
  }

  /// Of a run or a plan with so many good jobs.
  int code_of(const BatchTally& tally, int64_t good) const {
    if (tally.failed == 0 && tally.bad_lines == 0) return static_cast<int>(ExitCode::kDone);
    // Another shard may have good lines, and so may what --fail-fast did not come to.
    const bool all_bad = good + tally.failed == 0 && journal_.shard().is_whole() && feed_.ended();
    return static_cast<int>(all_bad ? ExitCode::kInputInvalid : ExitCode::kItemsFailed);
  }

  const BatchOptions& options_;
  Clock::time_point start_ = Clock::now();
  batch::Journal journal_;  // first: a directory that cannot be written to, or is another's, is told at once
  batch::PictureStore store_;
  std::vector<std::string> workers_;  // their devices; none: this process draws
  Compute compute_;
  ModelConfig model_;
  AdapterSets adapters_;
  std::string model_hash_;  // empty where a plan does not know it
  int64_t rows_;
  std::unique_ptr<batch::FailureFile> failure_file_;  // where something is drawn; before the jobs are read
  BatchProgress progress_;
  std::unique_ptr<BatchGrid> grid_;  // where it is asked for
  std::unique_ptr<batch::FailureList> failures_;
  batch::BatchRun run_;
  batch::JobFeed feed_;
  batch::JobGroups groups_;
  std::set<std::string> said_;
  double load_seconds_ = 0;
  bool told_ = true;  // false: a stop came, and nobody read the summary
};

}  // namespace

int run_command(const BatchOptions& options) {
  Batch batch(options);
  return options.plan ? batch.plan() : batch.draw();
}

}  // namespace brume::cli

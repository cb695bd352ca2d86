#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "brume/base/dtype.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/file.h"
#include "brume/image/png.h"
#include "brume/image/recipe.h"
#include "commands.h"
#include "generate_options.h"
#include "latents_file.h"
#include "output_names.h"
#include "progress.h"
#include "signals.h"

namespace brume::cli {

namespace {

using nlohmann::json;

constexpr size_t kRemarksShown = 10;

/// Draws the bar, passes signals on, and keeps the stages where they are asked for.
class RunObserver : public Observer {
 public:
  RunObserver(int64_t pictures, int64_t steps, bool keep_stages)
      : bar_(pictures * steps), keep_stages_(keep_stages) {}

  void on_stage(std::string_view name, const at::Tensor& tensor) override {
    if (keep_stages_) stages_.insert_or_assign(std::string(name), tensor);
  }
  void on_step(int64_t done, int64_t total) override {
    bar_.advance(before_ + batch_ * done);
    last_total_ = total;
  }
  bool stop_requested() override { return stop_signal() != 0; }

  void begin_batch(int64_t pictures) {
    before_ += batch_ * last_total_;
    batch_ = pictures;
  }
  ProgressBar& bar() { return bar_; }
  const std::map<std::string, at::Tensor>& stages() const { return stages_; }

 private:
  ProgressBar bar_;
  bool keep_stages_;
  int64_t before_ = 0;      // steps of finished batches
  int64_t batch_ = 0;       // pictures in this one
  int64_t last_total_ = 0;  // steps of each picture
  std::map<std::string, at::Tensor> stages_;
};

/// What a run has done, for the report and the exit code.
struct Tally {
  json pictures = json::array();
  int64_t failed = 0;
  PhaseTimes times;
  double load_seconds = 0;
};

void say(const std::string& line) { std::cerr << "brume: " << escape_control(line) << '\n'; }

at::ScalarType chosen_dtype(const std::string& name) {
  return name == "auto" ? at::kFloat : dtype_from_name(name);
}

/// Handing a small network's work from thread to thread takes longer than the work: the embedded model's step
/// is a millisecond or two on one thread, and many times that on two of a busy machine.
int threads_for(const GenerateOptions& options, const Request& request, const Pipeline& pipeline) {
  constexpr double kWorthSharing = 1e9;  // multiply-adds in a step
  // More threads than the machine runs only wait for each other, and a pool of a thousand may never start.
  const int64_t most = std::max(1U, std::thread::hardware_concurrency());
  if (options.run.threads > most)
    say("note: this machine runs " + std::to_string(most) + " threads at a time; using these");
  if (options.run.threads > 0) return static_cast<int>(std::min(options.run.threads, most));
  const double work =
      pipeline.step_work(request.width, request.height) * static_cast<double>(options.run.batch_size);
  return work < kWorthSharing ? 1 : at::get_num_threads();
}

void print_remarks(const Pipeline& pipeline, bool all) {
  const std::vector<std::string>& remarks = pipeline.remarks();
  const size_t shown = all ? remarks.size() : std::min(remarks.size(), kRemarksShown);
  for (size_t i = 0; i < shown; ++i) say("note: " + remarks[i]);
  if (shown < remarks.size()) say("note: " + std::to_string(remarks.size() - shown) + " more (-v lists all)");
}

void print_notes(const Request& request, const GenerateOptions& options, const Pipeline& pipeline) {
  print_remarks(pipeline, options.run.verbose);
  if (const int64_t cut = pipeline.tokens_cut(request.prompt); cut > 0) {
    say("note: the prompt is too long for this model; its last " + std::to_string(cut) +
        " tokens are not seen");
  }
  if (request.negative_prompt && pipeline.tokens_cut(*request.negative_prompt) > 0) {
    say("note: the negative prompt is too long for this model; its end is not seen");
  }
  if (request.negative_prompt && !request.guidance.active())
    say("note: without guidance the negative prompt does nothing");
  const std::string& author_choice = pipeline.schedule().config().class_name;
  if (!options.picture.sampler && author_choice != "DDIMScheduler" && author_choice != "DDPMScheduler") {
    say("note: the model names " + author_choice + ", which brume does not have; sampling with ddim");
  }
}

Recipe recipe_of(const Request& request, const PictureResult& result, const Pipeline& pipeline) {
  Recipe recipe;
  recipe.prompt = request.prompt;
  recipe.negative_prompt = request.negative_prompt;
  recipe.width = static_cast<int>(request.width);
  recipe.height = static_cast<int>(request.height);
  recipe.steps = static_cast<int>(request.sampling.steps);
  recipe.cfg_scale = request.guidance.scale;
  recipe.cfg_rescale = request.guidance.rescale;
  recipe.sampler = sampler_name(request.sampling.sampler);
  recipe.eta = request.sampling.eta;
  recipe.seed = result.seed;
  recipe.clip_skip = static_cast<int>(request.clip_skip);
  recipe.model = pipeline.model().name();
  recipe.dtype = dtype_name(pipeline.dtype());
  recipe.device = "cpu";
  recipe.version = version_name();
  recipe.notes = result.notes;
  if (request.init_latents) recipe.notes.emplace_back("init_latents");
  if (request.decode == DecodeMode::kTiled) recipe.notes.emplace_back("vae_tiling");
  return recipe;
}

/// Writes a file under the first name of ours that is free: another run may have taken one since this run
/// began.
std::filesystem::path write_under_free_name(const std::vector<std::byte>& png) {
  while (true) {
    std::filesystem::path path = output_names(std::nullopt, 1).front();
    try {
      write_file_atomically(path, png, Existing::kKeep);
      return path;
    } catch (const Error&) {
      if (!std::filesystem::exists(std::filesystem::symlink_status(path))) throw;
    }
  }
}

/// Writes one picture, to `path` or under a free name; its entry in the report.
json deliver(const Request& request, const PictureResult& result, const Pipeline& pipeline,
             const std::optional<std::filesystem::path>& path) {
  json entry = {{"seed", result.seed}};
  if (!result.picture) {
    entry["path"] = nullptr;
    entry["failed"] = result.failed_stage;
    return entry;
  }
  const std::vector<std::byte> png =
      encode_png(*result.picture, recipe_texts(recipe_of(request, result, pipeline)));
  if (path == "-") {
    write_all(STDOUT_FILENO, png, "standard output");
  } else if (path) {
    write_file_atomically(*path, png);
    entry["path"] = path->string();
  } else {
    entry["path"] = write_under_free_name(png).string();
  }
  entry["notes"] = result.notes;
  return entry;
}

void add_times(PhaseTimes& sum, const PhaseTimes& more) {
  sum.text_seconds += more.text_seconds;
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

void print_path(const std::filesystem::path& path) {
  const std::string line = path.string() + "\n";
  write_all(STDOUT_FILENO, std::as_bytes(std::span(line)), "standard output");
}

/// Batch after batch, each picture written as soon as it is done.
Tally draw_all(const Request& all, const GenerateOptions& options, const Pipeline& pipeline) {
  const auto names = output_names(options.run.output, options.run.batch_count);
  const auto place_of = [&](size_t index) -> std::optional<std::filesystem::path> {
    if (!options.run.output) return std::nullopt;
    return names.empty() ? std::filesystem::path("-") : names[index];
  };
  RunObserver observer(options.run.batch_count, all.sampling.steps, options.run.dump_stages.has_value());
  Tally tally;
  std::vector<at::Tensor> latents;
  const PoliteStop polite;
  for (size_t first = 0; first < all.seeds.size() && stop_signal() == 0;) {
    const size_t count = std::min(static_cast<size_t>(options.run.batch_size), all.seeds.size() - first);
    const Request batch = batch_of(all, first, count);
    observer.begin_batch(static_cast<int64_t>(count));
    const Generation made = pipeline.generate(batch, observer);
    if (made.stopped) break;
    observer.bar().clear();
    add_times(tally.times, made.times);
    if (options.run.save_latents) latents.push_back(made.latents);
    for (size_t i = 0; i < count; ++i) {
      const PictureResult& result = made.pictures[i];
      tally.pictures.push_back(deliver(batch, result, pipeline, place_of(first + i)));
      const json path = tally.pictures.back().value("path", json());
      if (!result.picture) {
        ++tally.failed;
        say("the picture of seed " + std::to_string(result.seed) + " has numbers that are not finite (" +
            result.failed_stage + "); it is not saved");
      } else if (path.is_string() && !options.run.json) {
        print_path(path.get<std::string>());
      }
    }
    first += count;
  }
  if (!latents.empty()) write_tensors(*options.run.save_latents, {{"latents", at::cat(latents)}});
  if (options.run.dump_stages) write_tensors(*options.run.dump_stages, observer.stages());
  return tally;
}

void print_report(const Request& request, const Tally& tally, const Pipeline& pipeline) {
  const auto steps = static_cast<double>(request.sampling.steps) * static_cast<double>(tally.pictures.size());
  const json report = {
      {"pictures", tally.pictures},
      {"model", pipeline.model().name()},
      {"prompt", request.prompt},
      {"width", request.width},
      {"height", request.height},
      {"steps", request.sampling.steps},
      {"cfg_scale", request.guidance.scale},
      {"sampler", sampler_name(request.sampling.sampler)},
      {"device", "cpu"},
      {"dtype", dtype_name(pipeline.dtype())},
      {"version", version_name()},
      {"steps_per_second", tally.times.denoise_seconds > 0 ? steps / tally.times.denoise_seconds : 0},
      {"load_ms", tally.load_seconds * 1e3},
      {"text_encode_ms", tally.times.text_seconds * 1e3},
      {"denoise_ms", tally.times.denoise_seconds * 1e3},
      {"vae_decode_ms", tally.times.decode_seconds * 1e3},
  };
  const std::string text = report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  write_all(STDOUT_FILENO, std::as_bytes(std::span(text)), "standard output");
}

void print_times(const Tally& tally) {
  std::fprintf(stderr, "brume: loaded in %.2f s, text %.2f s, denoising %.2f s, decoding %.2f s\n",
               tally.load_seconds, tally.times.text_seconds, tally.times.denoise_seconds,
               tally.times.decode_seconds);
}

/// A place that cannot be written to is known at once, not after minutes of drawing.
void check_places(const RunOptions& run) {
  output_names(run.output, run.batch_count);
  if (run.save_latents) check_writable(*run.save_latents);
  if (run.dump_stages) check_writable(*run.dump_stages);
}

/// The latents that all pictures of the run start from, one row a picture.
at::Tensor initial_latents(const std::filesystem::path& path, int64_t pictures) {
  at::Tensor latents = read_latents(path);
  if (latents.size(0) != pictures) {
    throw Error(
        ExitCode::kInputInvalid, path.string(),
        "holds latents for " + std::to_string(latents.size(0)) + " pictures, not " + std::to_string(pictures),
        "use -b " + std::to_string(latents.size(0)));
  }
  return latents;
}

int generate(const GenerateOptions& options) {
  check_options(options);
  check_places(options.run);
  const auto start = std::chrono::steady_clock::now();
  const std::string model = options.run.model.empty() ? embedded_model() : options.run.model;
  if (options.run.verbose) say("loading " + model);
  const Pipeline pipeline(ModelDirectory(model), chosen_dtype(options.run.dtype));
  const double load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  Request request = resolve(options, pipeline);
  if (options.run.init_latents)
    request.init_latents = initial_latents(*options.run.init_latents, options.run.batch_count);
  at::set_num_threads(threads_for(options, request, pipeline));
  print_notes(request, options, pipeline);
  Tally tally = draw_all(request, options, pipeline);
  tally.load_seconds = load_seconds;
  if (options.run.verbose) print_times(tally);
  if (options.run.json) print_report(request, tally, pipeline);

  constexpr int kSignalled = 128;
  const auto written = static_cast<int64_t>(tally.pictures.size()) - tally.failed;
  if (stop_signal() != 0 && static_cast<int64_t>(tally.pictures.size()) < options.run.batch_count) {
    say("stopped by signal " + std::to_string(stop_signal()) + "; " + std::to_string(written) + " of " +
        std::to_string(options.run.batch_count) + " pictures are written");
    return kSignalled + stop_signal();
  }
  return static_cast<int>(tally.failed > 0 ? ExitCode::kItemsFailed : ExitCode::kDone);
}

}  // namespace

void add_generate(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = program.add_subcommand("generate", "Draw pictures of a prompt");
  add_picture_options(*command, options->picture);
  add_run_options(*command, options->run);
  command->callback([options, &chosen] { chosen = [options] { return generate(*options); }; });
}

}  // namespace brume::cli

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iomanip>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "adapter_options.h"
#include "brume/base/error.h"
#include "brume/base/threads.h"
#include "brume/pipeline/chosen_words.h"
#include "brume/text/wildcard_files.h"
#include "count_text.h"
#include "engine_choices.h"
#include "engine_commands.h"
#include "generate_run.h"
#include "latents_file.h"
#include "notes.h"
#include "open_pipeline.h"
#include "report.h"
#include "say.h"
#include "signals.h"

namespace brume::cli {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// The latents that all pictures of the run start from, one row a picture.
at::Tensor initial_latents(const std::filesystem::path& path, int64_t pictures) {
  at::Tensor latents = read_latents(path);
  if (latents.size(0) != pictures) {
    throw Error(
        ExitCode::kInputInvalid, path.string(),
        "holds latents for " + count_text(latents.size(0), "picture") + ", not " + std::to_string(pictures),
        "use -b " + std::to_string(latents.size(0)));
  }
  return latents;
}

/// What loading took, and what drawing will take beside the weights, as an estimate.
std::string memory_text(const ModelConfig& model, Request request, int64_t pictures, const Compute& compute) {
  request.seeds.resize(std::min(request.seeds.size(), static_cast<size_t>(pictures)));
  const auto gibibytes = [](double bytes) {
    constexpr double kGibibyte = 1024.0 * 1024 * 1024;
    std::ostringstream text;
    text << std::fixed << std::setprecision(bytes < kGibibyte / 10 ? 3 : 1) << bytes / kGibibyte << " GiB";
    return text.str();
  };
  std::string text = "memory: at most " + gibibytes(static_cast<double>(compute.peak_memory())) +
                     " until here; beside the weights a step about " +
                     gibibytes(model.step_bytes(request, compute.estimate_dtype())) + ", decoding about " +
                     gibibytes(model.decode_bytes(request, compute.estimate_dtype()));
  if (const std::optional<double> free = compute.free_memory()) text += "; " + gibibytes(*free) + " are free";
  return text;
}

}  // namespace

int run_command(const GenerateWork& asked) {
  const GenerateOptions& options = asked.options;
  const Clock::time_point start = Clock::now();
  const Compute compute = open_compute(options.engine);
  StartTimes times;
  if (compute.gpu) times.gpu = seconds_between(start, Clock::now());
  const std::filesystem::path model = options.engine.model_path();
  if (options.engine.verbose) say("loading " + model.string());
  ModelConfig config = open_model(options.engine);
  embed(config, options.engine.embeddings);
  Request request = config.resolve(options.picture, seeds_of(options));
  if (options.run.init_latents)
    request.init_latents = initial_latents(*options.run.init_latents, options.run.batch_count);
  config.check_fit(request);
  config.check_pictures(request);
  std::optional<EditedPixels> pixels = read_noted_pixels(request);
  adapt(config, adapters_of(options.engine.adapters, request), options.engine.adapters);
  const Pipeline pipeline = open_pipeline(std::move(config), compute);
  times.load = seconds_between(start, Clock::now());

  if (options.engine.verbose) say(memory_text(pipeline.model(), request, options.run.batch_size, compute));
  const double work = pipeline.model().step_work(request.width, request.height);
  use_threads(threads_for(options.engine, work * static_cast<double>(options.run.batch_size)));
  Request first = request;
  for (const std::string& name :
       make_choices(first, request.seeds.front(), wildcards_in(options.run.wildcards)))
    say("note: __" + name + "__ stands for itself; name a directory with --wildcards");
  print_notes(first, options, pipeline);
  const PoliteStop polite;
  GenerateRun run(pipeline, {request, std::move(pixels)}, options.run, asked.files,
                  recipe_engine(options.engine, compute, pipeline.model()));
  std::exception_ptr failure;
  try {
    run.draw_all();
  } catch (...) {
    failure = std::current_exception();  // what is done is still kept and told
  }
  bool told = run.tally().told;
  if (!failure || !run.tally().pictures.empty()) {
    run.save_tensors();
    if (options.run.json) told = print_report(request, run.tally(), times.load, pipeline);
  }
  // A signal also ends the wait for a pipe's reader, which is then no failure.
  if (failure && stop_signal() == 0) std::rethrow_exception(failure);
  if (const auto begun = run.observer().first_step()) times.first_step = seconds_between(asked.began, *begun);
  if (options.engine.verbose) {
    print_on_the_way(run.tally());
    print_times(run.tally(), times);
  }

  if (stop_signal() != 0 && (run.tally().pictures.size() < request.seeds.size() || !told)) {
    say("stopped by signal " + std::to_string(stop_signal()) + "; " + std::to_string(run.tally().written()) +
        " of " + std::to_string(options.run.batch_count) + " pictures are written");
    return signal_exit_code(stop_signal());
  }
  return static_cast<int>(run.tally().failed > 0 ? ExitCode::kItemsFailed : ExitCode::kDone);
}

}  // namespace brume::cli

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <exception>
#include <map>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "commands.h"
#include "generate_options.h"
#include "generate_run.h"
#include "latents_file.h"
#include "notes.h"
#include "picture_files.h"
#include "report.h"
#include "signals.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

/// A place that cannot be written to, or that is named twice, is known at once, not after minutes of drawing.
void check_places(const RunOptions& run, const PictureFiles& files) {
  std::map<std::filesystem::path, std::string> taken;  // where it really is -> the option
  const auto take = [&](const std::filesystem::path& file, const std::string& option) {
    std::error_code failed;
    if (std::filesystem::is_other(std::filesystem::status(file, failed))) return;  // devices take anything
    const auto [other, added] = taken.emplace(written_place(file), option);
    if (added) return;
    throw Error(ExitCode::kUsage, option + " " + file.string(), "is the same file as " + other->second + "'s",
                "give each a name of its own");
  };
  for (const std::filesystem::path& file : files.named()) take(file, "-o");
  if (run.init_latents) take(*run.init_latents, "--init-latents");
  if (run.save_latents) {
    if (is_standard_output(*run.save_latents))
      throw Error(ExitCode::kUsage, "--save-latents", "standard output is for pictures and paths",
                  "name a file");
    check_writable(*run.save_latents);
    take(*run.save_latents, "--save-latents");
  }
  if (run.dump_stages) {
    check_writable(*run.dump_stages);
    take(*run.dump_stages, "--dump-stages");
  }
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
  check_standard_output();
  PictureFiles files(options.run.output, options.run.batch_count);
  check_places(options.run, files);
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path model = options.engine.model_path();
  if (options.engine.verbose) say("loading " + model.string());
  ModelConfig config(model);
  Request request = config.resolve(options.picture, seeds_of(options));
  const Pipeline pipeline(std::move(config), options.engine.scalar_type());
  const double load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  if (options.run.init_latents)
    request.init_latents = initial_latents(*options.run.init_latents, options.run.batch_count);
  const double work = pipeline.model().step_work(request.width, request.height);
  at::set_num_threads(options.engine.threads_for(work * static_cast<double>(options.run.batch_size)));
  print_notes(request, options, pipeline);
  const PoliteStop polite;
  GenerateRun run(pipeline, request, options.run, std::move(files));
  std::exception_ptr failure;
  try {
    run.draw_all();
  } catch (...) {
    failure = std::current_exception();  // what is done is still kept and told
  }
  if (!failure || !run.tally().pictures.empty()) {
    run.save_tensors();
    if (options.run.json) print_report(request, run.tally(), load_seconds, pipeline);
  }
  // A signal also ends the wait for a pipe's reader, which is then no failure.
  if (failure && stop_signal() == 0) std::rethrow_exception(failure);
  if (options.engine.verbose) print_times(run.tally(), load_seconds);

  if (stop_signal() != 0 && run.tally().pictures.size() < request.seeds.size()) {
    say("stopped by signal " + std::to_string(stop_signal()) + "; " + std::to_string(run.tally().written()) +
        " of " + std::to_string(options.run.batch_count) + " pictures are written");
    return signal_exit_code(stop_signal());
  }
  return static_cast<int>(run.tally().failed > 0 ? ExitCode::kItemsFailed : ExitCode::kDone);
}

}  // namespace

void add_generate(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = program.add_subcommand("generate", "Draw pictures of a prompt");
  add_picture_options(*command, options->picture);
  command->get_option("--prompt")->required();
  add_seed_option(*command, options->picture.seed);
  add_engine_options(*command, options->engine);
  add_run_options(*command, options->run);
  command->callback([options, &chosen] { chosen = [options] { return generate(*options); }; });
}

}  // namespace brume::cli

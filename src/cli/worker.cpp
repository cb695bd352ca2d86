#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "batch_progress.h"
#include "brume/batch/runner.h"
#include "brume/batch/worker_protocol.h"
#include "brume/pipeline/memory.h"
#include "brume/pipeline/pipeline.h"
#include "commands.h"
#include "engine_use.h"
#include "signals.h"
#include "values.h"

namespace brume::cli {

namespace {

struct WorkerOptions {
  EngineOptions engine;
  EngineUse use;
  bool events = false;  // an error is told as one
};

/// What a line of standard input asks for goes to standard output, until there are no more.
int work(const WorkerOptions& options) {
  using Clock = std::chrono::steady_clock;
  const PoliteStop polite;
  // Of a batch that was killed nobody takes the pictures; the next run needs the cores and the memory.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto start = Clock::now();
  const Pipeline pipeline(ModelConfig(options.engine.model_path()), options.engine.scalar_type());
  const double load_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::optional<batch::Runner> runner;
  const auto source = []() -> std::optional<batch::Work> {
    std::string line;
    if (!std::getline(std::cin, line)) return {};
    return batch::read_work_line(line);
  };
  const auto sink = [&](const batch::Made& made) {
    const batch::Busy& busy = runner->busy();
    batch::write_made(STDOUT_FILENO, made,
                      {.steps = runner->steps_done(),
                       .load = load_seconds,
                       .text = busy.text,
                       .denoise = busy.denoise,
                       .decode = busy.decode,
                       .peak_memory = peak_memory()});
  };
  runner.emplace(pipeline, options.use.settings(pipeline.model(), options.engine), source, sink,
                 [] { return stop_signal() != 0; });
  runner->run();
  return stop_signal() == 0 ? 0 : signal_exit_code(stop_signal());
}

int work_or_tell(const WorkerOptions& options) {
  try {
    return work(options);
  } catch (const Error& error) {
    if (!options.events) throw;
    print_error_event(error);
    return static_cast<int>(error.code());
  }
}

}  // namespace

/// Not for people: brume batch --devices starts it.
void add_worker(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<WorkerOptions>();
  CLI::App* command = program.add_subcommand("worker")->group("");
  add_engine_options(*command, options->engine);
  command->add_option("--batch-size", options->use.batch_size)->transform(whole_number(0, 1024));
  command->add_flag("--deterministic", options->use.deterministic);
  command->add_option("--grace", options->use.grace);
  command->add_flag("--events", options->events);
  command->callback([options, &chosen] { chosen = [options] { return work_or_tell(*options); }; });
}

}  // namespace brume::cli

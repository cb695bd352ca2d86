#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include "adapter_options.h"
#include "brume/base/error.h"
#include "brume/batch/runner.h"
#include "brume/batch/worker_protocol.h"
#include "brume/pipeline/memory.h"
#include "brume/pipeline/pipeline.h"
#include "engine_choices.h"
#include "engine_commands.h"
#include "failure.h"
#include "open_pipeline.h"
#include "signals.h"
#include "torch_errors.h"

namespace brume::cli {

namespace {

/// Whether nobody is left who reads what we write.
bool is_abandoned() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

/// What a line of standard input asks for goes to standard output, until there are no more.
int work(const WorkerOptions& options) {
  using Clock = std::chrono::steady_clock;
  const PoliteStop polite;
  // Of a batch that was killed nobody takes the pictures; the next run needs the cores and the memory.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (is_abandoned()) return static_cast<int>(ExitCode::kOutputFailed);  // it was killed before that
  const auto start = Clock::now();
  const Compute compute = open_compute(options.engine);
  ModelConfig model = open_model(options.engine);
  embed(model, options.engine.embeddings);
  adapt(model, adapters_of(options.engine.adapters, {}), options.engine.adapters);
  const Pipeline pipeline = open_pipeline(std::move(model), compute);
  const double load_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::optional<batch::Runner> runner;
  // Here all is there that drawing needs, the runner's threads too.
  const auto source = [&compute, ready = false]() mutable -> std::optional<batch::Work> {
    if (!std::exchange(ready, true)) batch::write_ready(STDOUT_FILENO, compute.device);
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
                       .peak_memory = compute.peak_memory()});
  };
  runner.emplace(pipeline, runner_settings(options.use, options.engine, compute, pipeline.model()), source,
                 sink, [] { return stop_signal() != 0; });
  runner->run();
  return stop_signal() == 0 ? 0 : signal_exit_code(stop_signal());
}

}  // namespace

/// The batch knows better than this process what its failure means, and tells of it.
int run_command(const WorkerOptions& options) {
  try {
    return without_torch_errors([&] { return work(options); });
  } catch (const std::exception&) {
    const Failure failure = current_failure();
    batch::write_failure(STDOUT_FILENO, failure.text);
    return static_cast<int>(failure.code);
  }
}

}  // namespace brume::cli

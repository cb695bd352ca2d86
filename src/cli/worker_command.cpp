#include <memory>

#include "commands.h"
#include "engine_door.h"
#include "events.h"
#include "values.h"

namespace brume::cli {

namespace {

int work(const WorkerOptions& options) {
  return with_errors_as(options.errors_as(), [&] { return work_in_engine(options); });
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
  command->callback([options, &chosen] { chosen = [options] { return work(*options); }; });
}

}  // namespace brume::cli

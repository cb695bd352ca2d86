#include <memory>

#include "bench_options.h"
#include "commands.h"
#include "engine_door.h"
#include "picture_files.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

int run_bench(const BenchOptions& options) {
  check_options(options);
  check_standard_output();
  if (options.html) check_writable(*options.html);  // known at once, not after minutes
  return work_in_engine(options);
}

}  // namespace

void add_bench(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = program.add_subcommand(
      "bench", "Measure steps and pictures a second, and hold them against a baseline");
  add_picture_options(*command, options->picture);
  add_engine_options(*command, options->engine);
  add_bench_options(*command, *options);
  command->callback([options, &chosen] { chosen = [options] { return run_bench(*options); }; });
}

}  // namespace brume::cli

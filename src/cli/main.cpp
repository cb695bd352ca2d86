#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "arguments.h"
#include "commands.h"
#include "events.h"
#include "failure.h"
#include "signals.h"
#include "standard_output.h"
#include "usage_line.h"

namespace {

/// Reads the arguments and runs the command they name.
int run(int argc, char** argv) {
  namespace cli = brume::cli;
  cli::keep_standard_streams();
  cli::end_at_signals();
  cli::make_write_failures_errors();
  CLI::App program{"Turns words into pictures by latent diffusion.", "brume"};
  program.require_subcommand(1);
  program.set_version_flag("--version,-V", cli::version_text);
  program.get_formatter()->column_width(34);
  cli::Action action;
  cli::add_generate(program, action);
  cli::add_batch(program, action);
  cli::add_gallery(program, action);
  cli::add_bench(program, action);
  cli::add_convert(program, action);
  cli::add_tokenize(program, action);
  cli::add_inspect(program, action);
  cli::add_worker(program, action);
  std::vector<std::string> arguments = cli::normalise(argc, argv, program);
  const bool events = cli::ask_for_events(arguments);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    program.parse(arguments);
  } catch (const CLI::Success& success) {
    std::ostringstream out;
    const int code = program.exit(success, out, out);
    cli::print_text(out.str());
    return code;
  } catch (const CLI::ParseError& error) {
    const auto fail = events ? cli::fail_by_event : cli::fail;
    return fail(brume::ExitCode::kUsage, cli::usage_line(program, error));
  }
  return action();
}

/// Ends the process without what its libraries would do first: libtorch takes a tenth of a second to forget
/// its operators one by one. All of ours is written by now.
int end_at_once(int code) {
#ifndef __SANITIZE_ADDRESS__  // which looks for leaks at the end
  std::fflush(nullptr);       // theirs: oneDNN's own reports
  ::_exit(code);
#endif
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  return end_at_once(brume::cli::told_as_line([&] { return run(argc, argv); }));
}

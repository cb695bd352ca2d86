#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <new>
#include <sstream>
#include <string>

#include "arguments.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "commands.h"
#include "signals.h"
#include "standard_output.h"
#include "usage_line.h"

namespace {

using brume::ExitCode;

int fail(ExitCode code, const std::string& message) {
  std::cerr << "brume: " << message << '\n';
  return static_cast<int>(code);
}

int out_of_memory() {
  return fail(ExitCode::kOutOfMemory,
              "out of memory; try a smaller size, a smaller --batch-size or --vae-tiling");
}

std::string first_line(const std::string& text) {
  return brume::escape_control(text.substr(0, text.find('\n')));
}

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
  cli::add_tokenize(program, action);
  cli::add_inspect(program, action);
  cli::add_worker(program, action);
  std::vector<std::string> arguments = cli::normalise(argc, argv, program);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    program.parse(arguments);
  } catch (const CLI::Success& success) {
    std::ostringstream out;
    const int code = program.exit(success, out, out);
    cli::print_text(out.str());
    return code;
  } catch (const CLI::ParseError& error) {
    return fail(ExitCode::kUsage, cli::usage_line(program, error));
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const brume::Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (text.find("allocate memory") != std::string::npos) return out_of_memory();
    return fail(ExitCode::kItemsFailed, "internal error: " + first_line(text));
  } catch (const std::exception& error) {
    return fail(ExitCode::kItemsFailed, "internal error: " + first_line(error.what()));
  }
}

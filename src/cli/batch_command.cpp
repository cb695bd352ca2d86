#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "batch_options.h"
#include "brume/base/error.h"
#include "brume/batch/batch_status.h"
#include "brume/batch/journal.h"
#include "brume/batch/picture_name.h"
#include "brume/batch/shard.h"
#include "commands.h"
#include "engine_door.h"
#include "events.h"
#include "say.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

using nlohmann::json;

int print_status(const BatchOptions& options) {
  const std::vector<std::filesystem::path> directories(options.places.begin(), options.places.end());
  const batch::BatchStatus status = batch::read_status(directories);
  if (options.json) {
    json failures = json::array();
    for (const batch::ListedFailure& one : status.failures)
      failures.push_back({{"list", one.list.string()}, {"line", one.line}, {"reason", one.reason}});
    print_json({{"journals", status.journals},
                {"done", status.done},
                {"missing", status.missing},
                {"failed", status.failed},
                {"listed", status.listed},
                {"unfinished", status.unfinished},
                {"failures", failures},
                {"running", status.running},
                {"remarks", status.remarks}});
  } else {
    for (const std::string& one : status.running) say("at work: " + one);
    for (const std::string& one : status.remarks) say("note: " + one);
    for (const batch::ListedFailure& one : status.failures)
      say(one.list.string() + " line " + std::to_string(one.line) + ": " + one.reason);
    const std::string missing = status.missing > 0
                                    ? ", " + std::to_string(status.missing) +
                                          " missing; the next run draws those that its jobs ask for"
                                    : "";
    print_text(std::to_string(status.done) + " done, " + std::to_string(status.failed) + " failed" + missing +
               "\n");
  }
  const bool whole = status.failed + status.missing + status.unfinished == 0;
  return static_cast<int>(whole ? ExitCode::kDone : ExitCode::kItemsFailed);
}

/// A pipe is opened when its turn comes: its writer may begin later.
void check_readable(const std::string& jobs) {
  std::error_code failed;
  if (jobs == "-" || std::filesystem::is_fifo(jobs, failed)) return;
  if (std::filesystem::is_directory(jobs, failed))
    throw Error(ExitCode::kInputInvalid, jobs, "is a directory", "name a file of jobs, a line each");
  if (::faccessat(AT_FDCWD, jobs.c_str(), R_OK, AT_EACCESS) == 0) return;
  const std::string reason = std::generic_category().message(errno);
  throw Error(ExitCode::kInputInvalid, jobs, "cannot read: " + reason,
              "name a file of jobs, a line each; one picture of a prompt is brume generate -p");
}

/// What can be told before the engine is loaded, and the weights are read.
void check_early(const BatchOptions& options) {
  batch::shard_from_text(options.shard, std::getenv);
  const batch::PictureNames names(options.names);
  batch::check_directory(options.directory, options.plan ? batch::Access::kRead : batch::Access::kWrite);
  for (const std::string& jobs : options.places) check_readable(jobs);
}

int run_batch(BatchOptions& options) {
  return with_errors_as(options.errors_as(), [&] {
    settle_options(options);
    check_standard_output();
    if (options.status) return print_status(options);
    check_early(options);
    return work_in_engine(options);
  });
}

}  // namespace

void add_batch(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<BatchOptions>();
  CLI::App* command =
      program.add_subcommand("batch", "Draw the pictures of a job file; go on where a run stopped");
  add_batch_options(*command, *options);
  command->callback([options, &chosen] { chosen = [options] { return run_batch(*options); }; });
}

}  // namespace brume::cli

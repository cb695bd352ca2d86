#include "batch_options.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "brume/base/error.h"
#include "brume/base/split.h"
#include "brume/weights/component_file.h"
#include "usage_line.h"
#include "values.h"

namespace brume::cli {

namespace {

constexpr int64_t kMostPicturesEach = 1000;
constexpr double kMostGrace = 3600;
constexpr size_t kMostWorkers = 256;

/// The devices that an entry of --devices asks for, one a worker; `option` is all of it.
std::vector<std::string> devices_of(std::string_view entry, const std::string& option) {
  std::string name(entry);
  if (name == "cpu" || (name.starts_with("cuda") && device_name()(name).empty())) return {name};
  std::string number(entry.starts_with("cpu:") ? entry.substr(4) : "");
  if (number.empty() || !whole_number(1, kMostWorkers)(number).empty())
    refuse(option,
           '"' + std::string(entry) + "\" is none of cpu, cpu:N with N from 1 to " +
               std::to_string(kMostWorkers) + ", cuda and cuda:N",
           "use cpu:2, or a list: cuda:0,cuda:1");
  return std::vector<std::string>(static_cast<size_t>(std::stoll(number)), "cpu");
}

CLI::Validator batch_size_or_auto() {
  const CLI::Validator number = whole_number(1, 1024);
  return CLI::Validator([number](std::string& text) { return text == "auto" ? std::string() : number(text); },
                        "");
}

void add_job_options(CLI::App& command, BatchOptions& options) {
  command
      .add_option("-s,--seed", options.picture.seed,
                  "Of jobs without one (default, and -1: made from what the job says)")
      ->transform(whole_number(-1, std::numeric_limits<int64_t>::max()));
  command
      .add_option("-b,--batch-count,--num-images-per-prompt", options.pictures_each,
                  "Pictures of each job, with seeds one after the other (default 1)")
      ->transform(whole_number(1, kMostPicturesEach));
  command
      .add_option("--batch-size", options.batch_size,
                  "Pictures in one call of the UNet, or auto: as many as gain by it (default auto)")
      ->transform(batch_size_or_auto());
  command
      .add_option("--devices", options.devices,
                  "Processes that draw, one for cpu, N for cpu:N, or a list of these with commas; the batch "
                  "outlives the death of one (default: this process)")
      ->check(not_empty());
  command
      .add_option("--name", options.names,
                  "File names: {index:05d}_{seed}_{prompt:40}; also id, line, key, width, height, steps, "
                  "cfg_scale, sampler (default {index:05d}_{seed})")
      ->check(not_empty());
  command
      .add_option("--shard", options.shard,
                  "i/n: part i, from 0, of n; auto/n: i is the task's number (Slurm, Kubernetes); auto")
      ->check(not_empty());
}

void add_course_options(CLI::App& command, BatchOptions& options) {
  command.add_flag("--resume", options.resume,
                   "Read pictures that are there and draw damaged ones again (default: look at their size)");
  command.add_flag("--force", options.force, "Draw every job once more, also those whose pictures are there");
  command.add_flag("--keep-going", options.keep_going, "Go on after a job that fails (the default)");
  command.add_flag("--fail-fast", options.fail_fast,
                   "Stop at the first job that fails, or line that asks for none");
  command.add_flag("--deterministic", options.use.deterministic,
                   "A picture's bytes do not depend on which others are drawn with it; slower");
  command
      .add_option("--grace", options.use.grace,
                  "Seconds that a stop leaves for pictures on their way (default 10)")
      ->transform(real_number(0, kMostGrace));
  command.add_flag("--grid", options.grid, "At the end, all pictures of the job file on one sheet: grid.png");
  command.add_flag("--plan", options.plan,
                   "Say what would be done, with time, memory and disk; draw nothing");
  command.add_flag("--status", options.status, "Say how far the directories named are; draw nothing");
  command
      .add_option("--progress", options.progress,
                  "auto (a bar on a terminal), bar, jsonl (events on standard error) or none")
      ->check(one_of({"auto", "bar", "jsonl", "none"}));
  command.add_flag("--json", options.json, "One JSON object on standard output instead of paths");
}

}  // namespace

ProgressKind BatchOptions::progress_kind() const {
  if (progress == "bar") return ProgressKind::kBar;
  if (progress == "jsonl") return ProgressKind::kEvents;
  return progress == "none" ? ProgressKind::kNone : ProgressKind::kAuto;
}

ErrorsAs BatchOptions::errors_as() const {
  return progress_kind() == ProgressKind::kEvents ? ErrorsAs::kEvents : ErrorsAs::kLines;
}

std::vector<std::string> BatchOptions::workers() const {
  if (devices.empty()) return {};
  const std::string option = "--devices " + devices;
  if (engine.device != EngineOptions{}.device)
    refuse(option, "stands beside --device " + engine.device, "name every device in --devices");
  std::vector<std::string> workers;
  for (const std::string_view entry : split(devices, ',')) {
    for (std::string& device : devices_of(entry, option)) workers.push_back(std::move(device));
  }
  if (workers.size() > kMostWorkers)
    refuse(option, "is more than " + std::to_string(kMostWorkers) + " workers", "each holds the model");
  // Pictures of both are not the same bytes, and the journal must know which a picture is.
  const auto on_cpu = [](const std::string& device) { return device == "cpu"; };
  if (std::any_of(workers.begin(), workers.end(), on_cpu) !=
      std::all_of(workers.begin(), workers.end(), on_cpu))
    refuse(option, "names both CPU and GPUs", "use the GPUs alone");
  return workers;
}

std::vector<std::string> BatchOptions::worker_command(const std::string& device,
                                                      const std::vector<std::string>& adapters) const {
  std::vector<std::string> words{"/proc/self/exe",
                                 "worker",
                                 "-m",
                                 engine.model_path().string(),
                                 "--device",
                                 device,
                                 "--dtype",
                                 engine.dtype,
                                 "-t",
                                 std::to_string(engine.threads),
                                 "--batch-size",
                                 std::to_string(use.batch_size),
                                 "--grace",
                                 std::to_string(use.grace)};
  if (!engine.prediction.empty()) words.insert(words.end(), {"--prediction", engine.prediction});
  for (const auto& [component, place] : engine.components)
    words.insert(words.end(), {component_option(component), place});
  for (const std::string& adapter : adapters) words.insert(words.end(), {"--lora", adapter});
  for (const std::string& embedding : engine.embeddings.files)
    words.insert(words.end(), {"--embedding", embedding});
  if (!engine.embeddings.directory.empty())
    words.insert(words.end(), {"--embeddings-dir", engine.embeddings.directory});
  if (use.deterministic) words.emplace_back("--deterministic");
  if (progress_kind() == ProgressKind::kEvents) words.emplace_back("--events");
  return words;
}

void add_batch_options(CLI::App& command, BatchOptions& options) {
  command.add_option(
      "jobs", options.places,
      "Job files, a job a line, read one after the other, or - for standard input; with --status "
      "directories");
  command.add_option("-o,--output", options.directory, "Directory for the pictures and the journal")
      ->check(not_empty());
  add_picture_options(command, options.picture);
  add_wildcards_option(command, options.wildcards);
  add_job_options(command, options);
  add_engine_options(command, options.engine);
  add_course_options(command, options);
}

void settle_options(BatchOptions& options) {
  if (options.status) {
    if (!options.directory.empty()) refuse("-o", "--status draws nothing", "name the directories alone");
    if (options.places.empty())
      refuse("--status", "names no directory",
             "name those that were given with -o: brume batch --status out");
    return;
  }
  if (options.places.empty())
    refuse("batch", "the job file is missing",
           "name it, or - for standard input: brume batch jobs.txt -o out");
  if (options.directory.empty()) refuse("-o", "is missing", "name the directory for the pictures");
  check_wildcards(options.wildcards, options.picture.compat);
  options.engine.adapters.strict = options.picture.strict.value_or(false);
  if (options.resume && options.force)
    refuse("--force", "draws every job again, and --resume keeps what is whole", "leave one of them out");
  if (options.keep_going && options.fail_fast)
    refuse("--fail-fast", "is the contrary of --keep-going", "leave one out");
  options.use.batch_size = options.batch_size == "auto" ? 0 : std::stoll(options.batch_size);
  const auto workers = static_cast<int64_t>(options.workers().size());
  if (workers < 1 || options.engine.threads > 0) return;
  // They share the processor; a worker that takes all of it would wait for the others.
  const int64_t cores = std::max(1U, std::thread::hardware_concurrency());
  options.engine.threads = std::max<int64_t>(1, cores / workers);
}

}  // namespace brume::cli

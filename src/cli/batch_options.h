#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/batch/picture_store.h"
#include "brume/batch/shard.h"
#include "brume/pipeline/picture_settings.h"
#include "engine_options.h"
#include "events.h"

namespace brume::cli {

enum class ProgressKind { kAuto, kBar, kEvents, kNone };

struct BatchOptions {
  std::vector<std::string> places;  // the job files, or with --status the directories
  std::filesystem::path directory;
  PictureSettings picture;  // of jobs that do not say otherwise
  EngineOptions engine;
  std::optional<std::filesystem::path> wildcards;
  int64_t pictures_each = 1;
  std::string batch_size = "auto";
  std::string devices;  // of workers, or empty
  std::string names = batch::kDefaultNames;
  std::string shard = "0/1";
  std::string progress = "auto";
  EngineUse use;
  bool resume = false;
  bool force = false;
  bool keep_going = false;
  bool fail_fast = false;
  bool grid = false;
  bool plan = false;
  bool status = false;
  bool json = false;

  ProgressKind progress_kind() const;
  ErrorsAs errors_as() const;
  /// How many worker processes; 0: this process draws.
  std::vector<std::string> workers() const;
  /// The command of each worker, which merges `adapters` (choice_text) into its model.
  std::vector<std::string> worker_command(const std::string& device,
                                          const std::vector<std::string>& adapters) const;
};

void add_batch_options(CLI::App& command, BatchOptions& options);
/// Completes what hangs on several options. Throws kUsage for what the command line alone can tell is wrong.
void settle_options(BatchOptions& options);

}  // namespace brume::cli

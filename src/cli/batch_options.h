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

namespace brume::cli {

enum class ProgressKind { kAuto, kBar, kEvents, kNone };

struct BatchOptions {
  std::vector<std::string> places;  // the job file, or with --status the directories
  std::filesystem::path directory;
  PictureSettings picture;  // of jobs that do not say otherwise
  EngineOptions engine;
  int64_t pictures_each = 1;
  std::string batch_size = "auto";
  std::string names = batch::kDefaultNames;
  std::string shard = "0/1";
  std::string progress = "auto";
  double grace = 10;
  bool resume = false;
  bool force = false;
  bool keep_going = false;
  bool fail_fast = false;
  bool deterministic = false;
  bool grid = false;
  bool plan = false;
  bool status = false;
  bool json = false;

  ProgressKind progress_kind() const;
};

void add_batch_options(CLI::App& command, BatchOptions& options);
/// What the command line alone can tell is wrong. Throws kUsage.
void check_options(const BatchOptions& options);

}  // namespace brume::cli

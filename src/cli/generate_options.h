#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/picture_settings.h"
#include "engine_options.h"

namespace brume::cli {

/// How many, and where they go.
struct RunOptions {
  int64_t batch_count = 1;
  int64_t batch_size = 1;
  std::optional<std::string> output;
  std::optional<std::filesystem::path> wildcards;
  std::optional<std::filesystem::path> init_latents;
  std::optional<std::filesystem::path> save_latents;
  std::optional<std::filesystem::path> dump_stages;
  bool json = false;
};

struct GenerateOptions {
  PictureSettings picture;
  EngineOptions engine;
  RunOptions run;
};

void add_seed_option(CLI::App& command, std::optional<int64_t>& seed);
void add_run_options(CLI::App& command, RunOptions& options);

/// What the command line alone can tell is wrong. Throws kUsage.
void check_options(const GenerateOptions& options);

/// The seeds of all pictures of the run, one after the other; -1 draws the first.
std::vector<uint64_t> seeds_of(const GenerateOptions& options);

}  // namespace brume::cli

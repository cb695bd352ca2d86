#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/model_config.h"
#include "brume/pipeline/picture_settings.h"
#include "brume/pipeline/request.h"

namespace brume::cli {

/// How, and where it goes.
struct RunOptions {
  std::string model;
  int64_t batch_count = 1;
  int64_t batch_size = 1;
  std::optional<std::string> output;
  std::optional<std::filesystem::path> init_latents;
  std::optional<std::filesystem::path> save_latents;
  std::optional<std::filesystem::path> dump_stages;
  std::string device = "auto";
  std::string dtype = "auto";
  int64_t threads = 0;
  bool verbose = false;
  bool json = false;
};

struct GenerateOptions {
  PictureSettings picture;
  RunOptions run;
};

void add_picture_options(CLI::App& command, PictureSettings& settings);
void add_run_options(CLI::App& command, RunOptions& options);

/// What the command line alone can tell is wrong. Throws kUsage.
void check_options(const GenerateOptions& options);

/// The seeds of all pictures of the run, one after the other; -1 draws the first.
std::vector<uint64_t> seeds_of(const GenerateOptions& options);

}  // namespace brume::cli

#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"

namespace brume::cli {

/// What is drawn.
struct PictureOptions {
  std::string prompt;
  std::optional<std::string> negative_prompt;
  std::optional<int64_t> width;
  std::optional<int64_t> height;
  std::optional<int64_t> steps;
  std::optional<double> cfg_scale;
  double cfg_rescale = 0;
  std::optional<std::string> sampler;
  double eta = 0;
  int64_t seed = 42;
  int64_t clip_skip = 1;
  bool vae_tiling = false;
};

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
  PictureOptions picture;
  RunOptions run;
};

void add_picture_options(CLI::App& command, PictureOptions& options);
void add_run_options(CLI::App& command, RunOptions& options);

/// What the command line alone can tell is wrong. Throws kUsage.
void check_options(const GenerateOptions& options);

/// The request for all pictures, with the model's own defaults where nothing was said. Its seeds are those of
/// the run.
Request resolve(const GenerateOptions& options, const Pipeline& pipeline);

}  // namespace brume::cli

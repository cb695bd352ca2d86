#pragma once
#include <c10/core/ScalarType.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>

#include "brume/pipeline/picture_settings.h"

namespace brume::cli {

/// What draws.
struct EngineOptions {
  std::string model;
  std::string device = "auto";
  std::string dtype = "auto";
  int64_t threads = 0;
  bool verbose = false;

  std::filesystem::path model_path() const;
  at::ScalarType scalar_type() const;
  /// CPU threads for a network that does `work` multiply-adds at a time. Handing a small network's work from
  /// thread to thread takes longer than the work: the embedded model's step is a millisecond or two on one
  /// thread, and many times that on two of a busy machine.
  int threads_for(double work) const;
};

/// What is drawn: the same options for one picture and as the defaults of many.
void add_picture_options(CLI::App& command, PictureSettings& settings);
void add_engine_options(CLI::App& command, EngineOptions& options);

}  // namespace brume::cli

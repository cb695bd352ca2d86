#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/picture_settings.h"

namespace brume::cli {

/// What is merged into the model's weights.
struct AdapterOptions {
  std::vector<std::string> loras;  // as typed
  std::string directory;           // of those that prompts name
  bool strict = false;             // tensors that fit nothing are an error
};

/// Words of prompts that stand for vectors of the text encoders.
struct EmbeddingOptions {
  std::vector<std::string> files;  // as typed
  std::string directory;
};

/// What draws.
struct EngineOptions {
  std::string model;
  std::string prediction;                         // empty: as the model says
  std::map<std::string, std::string> components;  // that are not the model's own, by their names
  std::string device = "auto";
  std::string dtype = "auto";
  int64_t threads = 0;
  bool verbose = false;
  AdapterOptions adapters;
  EmbeddingOptions embeddings;

  std::filesystem::path model_path() const;
};

/// How a batch uses the machine.
struct EngineUse {
  int64_t batch_size = 0;  // pictures in one call of the UNet; 0: as many as gain by it
  bool deterministic = false;
  double grace = 10;  // seconds
};

/// What is drawn: the same options for one picture and as the defaults of many.
void add_picture_options(CLI::App& command, PictureSettings& settings);
void add_wildcards_option(CLI::App& command, std::optional<std::filesystem::path>& wildcards);
/// Throws kUsage where prompts are read so that nothing would look at the wildcards, kInputInvalid where they
/// are no directory.
void check_wildcards(const std::optional<std::filesystem::path>& wildcards,
                     const std::optional<std::string>& compat);
void add_embedding_options(CLI::App& command, EmbeddingOptions& options);
/// What is made a part of the model: other components, adapters, what the UNet is said to predict.
void add_component_options(CLI::App& command, EngineOptions& options);
/// Those, the model, and how it draws.
void add_engine_options(CLI::App& command, EngineOptions& options);

}  // namespace brume::cli

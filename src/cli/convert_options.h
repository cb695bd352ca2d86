#pragma once
#include <filesystem>

#include "engine_options.h"

namespace brume::cli {

struct ConvertOptions {
  EngineOptions engine;  // the model and what is made a part of it; dtype "keep": as stored
  std::filesystem::path output;
  bool force = false;
  bool json = false;
};

}  // namespace brume::cli

#pragma once
#include "engine_options.h"
#include "events.h"

namespace brume::cli {

struct WorkerOptions {
  EngineOptions engine;
  EngineUse use;
  bool events = false;  // an error is told as one

  ErrorsAs errors_as() const { return events ? ErrorsAs::kEvents : ErrorsAs::kLines; }
};

}  // namespace brume::cli

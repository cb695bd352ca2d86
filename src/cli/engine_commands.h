#pragma once
#include "engine_door.h"

namespace brume::cli {

/// What the commands do that need tensors; the program's exit code.
int run_command(const GenerateWork& asked);
int run_command(const BatchOptions& options);
int run_command(const BenchOptions& options);
int run_command(const ConvertOptions& options);
int run_command(const WorkerOptions& options);

}  // namespace brume::cli

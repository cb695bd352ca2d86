#pragma once
#include <chrono>
#include <cstddef>
#include <variant>

#include "batch_options.h"
#include "bench_options.h"
#include "convert_options.h"
#include "generate_options.h"
#include "picture_files.h"
#include "worker_options.h"

namespace brume::cli {

struct GenerateWork {
  GenerateOptions options;
  PictureFiles files;
  std::chrono::steady_clock::time_point began;  // before the library was loaded
};

/// What the engine's library is asked to do: the command whose options these are.
using EngineWork = std::variant<GenerateWork, BatchOptions, BenchOptions, ConvertOptions, WorkerOptions>;

/// What the two agree on when they are of one build: the program's own is compared with the library's.
struct EngineStamp {
  const char* version;
  size_t work_bytes;  // of EngineWork, as laid out
};
inline constexpr const char* kEngineStamp = "brume_engine_stamp";

/// The library's one entry, by its name in there. Gives the exit code; no exception passes it.
using EngineDoor = int(const EngineWork& work) noexcept;
inline constexpr const char* kEngineDoor = "brume_engine_work";

/// Loads the library, and libtorch with it, and lets it do the work. Throws kModelInvalid where it is not
/// there or cannot be loaded.
int work_in_engine(const EngineWork& work);

}  // namespace brume::cli

#include "shipped.h"

#include <system_error>

#include "brume/base/error.h"

namespace brume::cli {

namespace fs = std::filesystem;

namespace {

/// The program's own directory.
fs::path program_directory() {
  std::error_code failed;
  fs::path directory = fs::read_symlink("/proc/self/exe", failed).parent_path();
  // What belongs to brume must not be looked for where the user happens to be.
  if (directory.empty())
    throw Error(ExitCode::kModelInvalid, "/proc/self/exe", "does not say where brume is", "mount /proc");
  return directory;
}

}  // namespace

std::string shipped_model(const std::string& name) {
  std::error_code failed;
  const fs::path installed = program_directory().parent_path() / "share/brume/models" / name;
  if (fs::is_directory(installed, failed)) return installed.string();
  const fs::path source = fs::path(BRUME_SOURCE_MODELS) / name;
  if (fs::is_directory(source, failed)) return source.string();
  throw Error(ExitCode::kModelInvalid, source.string(), "what brume ships is not there",
              "name a model directory with -m");
}

std::string embedded_model() { return shipped_model("default"); }

fs::path clip_vocabulary() {
  std::error_code failed;
  fs::path installed = program_directory().parent_path() / "share/brume/clip";
  return fs::is_directory(installed, failed) ? installed : fs::path(BRUME_SOURCE_CLIP);
}

fs::path engine_library() {
  constexpr const char* kName = "libbrume_engine.so";
  const fs::path directory = program_directory();
  std::error_code failed;
  for (const fs::path& file : {directory / kName, directory.parent_path() / "lib/brume" / kName}) {
    if (fs::exists(file, failed)) return file;
  }
  throw Error(ExitCode::kModelInvalid, (directory / kName).string(), "brume's engine is not there",
              "install all of brume, or build it with its default targets");
}

fs::path cuda_plugin() { return engine_library().parent_path() / "libbrume_cuda.so"; }

}  // namespace brume::cli

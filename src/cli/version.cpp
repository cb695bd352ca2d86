#include <ATen/Parallel.h>

#include <ATen/Version.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "brume/base/error.h"
#include "commands.h"

namespace brume::cli {

namespace {

std::string instruction_sets() {
  std::string names;
  const auto add = [&](const char* name, bool there) { names += there ? std::string(" ") + name : ""; };
#if defined(__x86_64__)
  add("avx2", __builtin_cpu_supports("avx2") != 0);
  add("avx512f", __builtin_cpu_supports("avx512f") != 0);
  add("avx512vnni", __builtin_cpu_supports("avx512vnni") != 0);
  add("avx512bf16", __builtin_cpu_supports("avx512bf16") != 0);
#endif
  return names.empty() ? " baseline" : names;
}

}  // namespace

std::string version_name() { return "brume " BRUME_VERSION; }

std::string version_text() {
  return version_name() + "\nbuild: " BRUME_BUILD_TYPE ", compiler " __VERSION__ ", libtorch " +
         TORCH_VERSION + "\ndevices: cpu (" + std::to_string(at::get_num_threads()) +
         " threads, kernels for " + at::get_cpu_capability() + ")\ninstruction sets:" + instruction_sets() +
         "\n";
}

std::string shipped_model(const std::string& name) {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::filesystem::path installed = program.parent_path().parent_path() / "share/brume/models" / name;
  if (!failed && std::filesystem::is_directory(installed, failed)) return installed.string();
  const std::filesystem::path source = std::filesystem::path(BRUME_SOURCE_MODELS) / name;
  if (std::filesystem::is_directory(source, failed)) return source.string();
  throw Error(ExitCode::kModelInvalid, source.string(), "what brume ships is not there",
              "name a model directory with -m");
}

std::string embedded_model() { return shipped_model("default"); }

}  // namespace brume::cli

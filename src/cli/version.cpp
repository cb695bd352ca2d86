#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>

#include "brume/base/error.h"
#include "commands.h"
#include "kernels/cpu/machines.h"
#include "kernels/gpu/driver.h"
#include "shipped.h"

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

/// What --device cuda would find, without asking a GPU.
std::string cuda_text() {
  try {
    std::error_code failed;
    if (!std::filesystem::exists(cuda_plugin(), failed)) return "not in this build";
  } catch (const Error&) {  // nor is the engine
    return "not in this build";
  }
  return kernels::gpu::has_driver() ? "the driver is there" : "no driver here";
}

}  // namespace

std::string version_name() { return "brume " BRUME_VERSION; }

// Asking libtorch itself would take as long as loading it.
std::string version_text() {
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  return version_name() +
         "\nbuild: " BRUME_BUILD_TYPE ", compiler " __VERSION__ ", libtorch " BRUME_TORCH_VERSION
         "\ndevices: cpu (" +
         std::to_string(threads) + " threads, kernels for " + kernels::cpu::machine().name + "), cuda (" +
         cuda_text() + ")\ninstruction sets:" + instruction_sets() + "\n";
}

}  // namespace brume::cli

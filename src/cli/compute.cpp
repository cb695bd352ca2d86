#include "compute.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <charconv>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>

#include "brume/base/dtype.h"
#include "brume/base/error.h"
#include "brume/base/threads.h"
#include "brume/pipeline/memory.h"
#include "kernels/gpu/door.h"
#include "kernels/gpu/driver.h"
#include "say.h"
#include "shipped.h"

namespace brume::cli {

namespace {

namespace fs = std::filesystem;
using kernels::gpu::Gpu;

/// Where people expect a program to keep what it can make again; empty where nothing says.
fs::path cache_directory() {
  const auto named = [](const char* variable) {
    const char* const value = std::getenv(variable);
    return fs::path(value != nullptr ? value : "");
  };
  if (const fs::path cache = named("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "brume";
  const fs::path home = named("HOME");
  return home.is_absolute() ? home / ".cache/brume" : fs::path();
}

std::unique_ptr<Gpu> open_gpu(int32_t index) {
  return kernels::gpu::open_gpu(cuda_plugin(), index, cache_directory(), [] {
    say("note: measuring which kernels are fastest on this GPU; once for each size of picture, some seconds");
  });
}

/// Of "cuda" or "cuda:N".
int32_t index_of(const std::string& device) {
  constexpr size_t kNumber = 5;  // where it begins
  int32_t index = 0;
  if (device.size() > kNumber) std::from_chars(device.data() + kNumber, device.data() + device.size(), index);
  return index;
}

[[noreturn]] void refuse(const std::string& device, const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kUsage, "--device " + device, problem, remedy);
}

/// That a GPU could be opened at all.
void check_possible(const std::string& device) {
  std::error_code failed;
  if (!kernels::gpu::has_driver()) refuse(device, "there is no NVIDIA driver here", "use --device cpu");
  if (!fs::exists(cuda_plugin(), failed))
    refuse(device, "this build of brume has no CUDA engine", "build it where tools/setup --cuda was run");
}

std::shared_ptr<const Gpu> asked_for(const std::string& device) {
  check_possible(device);
  try {
    return open_gpu(index_of(device));
  } catch (const c10::Error&) {
    throw;  // a call of CUDA's, which is told apart where all are (torch_errors.h)
  } catch (const std::exception& error) {
    refuse(device, error.what(), "use --device cpu, or see to it");
  }
}

std::shared_ptr<const Gpu> if_there_is_one() {
  std::error_code failed;
  if (!kernels::gpu::has_driver() || !fs::exists(cuda_plugin(), failed)) return nullptr;
  try {
    return open_gpu(0);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    say("note: drawing on the CPU: " + text.substr(0, text.find('\n')) + "; --device cpu says nothing of it");
    return nullptr;
  }
}

std::shared_ptr<const Gpu> gpu_of(const EngineOptions& engine) {
  if (engine.device == "cpu") return nullptr;
  return engine.device == "auto" ? if_there_is_one() : asked_for(engine.device);
}

}  // namespace

std::optional<double> Compute::free_memory() const {
  if (on_cpu()) return available_memory();
  return gpu ? std::optional(static_cast<double>(gpu->free_memory())) : std::nullopt;
}

int64_t Compute::peak_memory() const { return gpu ? gpu->peak_memory() : brume::peak_memory(); }

Compute open_compute(const EngineOptions& engine) {
  check_threads(at::get_num_threads() - 1);  // libtorch makes them when it first computes
  std::shared_ptr<const Gpu> gpu = gpu_of(engine);
  Compute compute = compute_of(engine, gpu ? gpu->properties().device.str() : "cpu");
  if (gpu && engine.verbose) say("drawing on " + gpu->properties().name);
  compute.gpu = std::move(gpu);
  return compute;
}

Compute compute_of(const EngineOptions& engine, const std::string& device) {
  if (device != "cpu") check_possible(device);
  const at::ScalarType unsaid = device == "cpu" ? at::kFloat : at::kHalf;
  return {engine.dtype == "auto" ? unsaid : dtype_from_name(engine.dtype), device, nullptr};
}

}  // namespace brume::cli

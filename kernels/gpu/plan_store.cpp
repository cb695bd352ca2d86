#include "kernels/gpu/plan_store.h"

#include <ATen/cuda/CUDAContext.h>
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#include "kernels/gpu/plan_cache.h"

namespace brume::kernels::gpu {

namespace {

/// Everything that a plan may hang on. Alike GPUs share their plans.
std::string identity_of(c10::DeviceIndex device) {
  const cudaDeviceProp& gpu = *at::cuda::getDeviceProperties(device);
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) (void)cudaGetLastError();
  return std::string(gpu.name) + ", " + std::to_string(gpu.multiProcessorCount) +
         " multiprocessors, capability " + std::to_string(gpu.major) + "." + std::to_string(gpu.minor) +
         ", driver " + std::to_string(driver) + ", cuDNN " + std::to_string(cudnnGetVersion()) +
         ", cublasLt " + std::to_string(cublasLtGetVersion());
}

class PlanStore {
 public:
  void keep_in(const std::filesystem::path& directory, std::function<void()> on_first) {
    const std::lock_guard lock(mutex_);
    directory_ = directory;
    on_first_ = std::move(on_first);
    caches_.clear();
  }

  void save() {
    const std::lock_guard lock(mutex_);
    save_all();
  }

  std::optional<std::string> find(c10::DeviceIndex device, const std::string& key) {
    const std::lock_guard lock(mutex_);
    return cache_of(device).find(key);
  }

  void put(c10::DeviceIndex device, const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    if (const auto on_first = std::exchange(on_first_, nullptr)) on_first();
    cache_of(device).put(key, value);
    if (Clock::now() - saved_ > kMostUnsaved) save_all();  // whoever is killed loses no more than that
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::duration kMostUnsaved = std::chrono::seconds(2);

  void save_all() {
    for (auto& [identity, cache] : caches_) cache.save();
    saved_ = Clock::now();
  }

  PlanCache& cache_of(c10::DeviceIndex device) {
    const std::string identity = identity_of(device);
    return caches_.try_emplace(identity, directory_, identity).first->second;
  }

  std::mutex mutex_;
  std::filesystem::path directory_;
  std::function<void()> on_first_;
  Clock::time_point saved_ = Clock::now();
  std::map<std::string, PlanCache> caches_;
};

/// One for the process, as are the tables of plans that it feeds: operators, which the dispatcher calls, have
/// no object of ours to hold it.
PlanStore& plan_store() {
  static PlanStore store;
  return store;
}

}  // namespace

void keep_plans_in(const std::filesystem::path& directory, std::function<void()> on_first) {
  plan_store().keep_in(directory, std::move(on_first));
}

void save_plans() { plan_store().save(); }

std::optional<std::string> stored_plan(c10::DeviceIndex device, const std::string& key) {
  return plan_store().find(device, key);
}

void store_plan(c10::DeviceIndex device, const std::string& key, const std::string& value) {
  plan_store().put(device, key, value);
}

}  // namespace brume::kernels::gpu

#include "kernels/gpu/door.h"

#include <dlfcn.h>

#include <stdexcept>

namespace brume::kernels::gpu {

namespace {

/// Never closed: libtorch's tables name what is in it.
void* open_library(const char* file, int how) {
  void* const library = ::dlopen(file, how);
  if (library == nullptr) throw std::runtime_error(::dlerror());
  return library;
}

}  // namespace

std::unique_ptr<Gpu> open_gpu(const std::filesystem::path& plugin, int32_t index,
                              const std::filesystem::path& cache, const std::function<void()>& on_measuring) {
  // For all who come later: the plug-in takes what it needs of it.
  open_library("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  void* const door = ::dlsym(open_library(plugin.c_str(), RTLD_LAZY | RTLD_LOCAL), kGpuDoor);
  if (door == nullptr) throw std::runtime_error(plugin.string() + " is no plug-in of brume");
  return reinterpret_cast<GpuDoor*>(door)(index, cache, on_measuring);
}

}  // namespace brume::kernels::gpu

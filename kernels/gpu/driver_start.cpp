#include "kernels/gpu/driver_start.h"

#include <dlfcn.h>

#include <system_error>

namespace brume::kernels::gpu {

namespace {

/// A function of the driver's, whose header is not here; null where there is none of that name.
template <class Function>
Function* find(void* library, const char* name) {
  return reinterpret_cast<Function*>(library != nullptr ? ::dlsym(library, name) : nullptr);
}

}  // namespace

DriverStart::DriverStart(int32_t index, const char* library)
    : library_(::dlopen(library, RTLD_LAZY | RTLD_LOCAL)) {
  try {
    thread_ = std::thread([this, index] { start(index); });
  } catch (const std::system_error&) {  // then it is done later
  }
}

DriverStart::~DriverStart() {
  if (thread_.joinable()) thread_.join();
  if (device_ < 0 || kept_) return;
  if (auto* const release = find<int(int)>(library_, "cuDevicePrimaryCtxRelease_v2")) release(device_);
}

/// The library stays open: it is the process's from now on.
void DriverStart::start(int32_t index) {
  auto* const init = find<int(unsigned)>(library_, "cuInit");
  auto* const get = find<int(int*, int)>(library_, "cuDeviceGet");
  auto* const retain = find<int(void**, int)>(library_, "cuDevicePrimaryCtxRetain");
  if (init == nullptr || get == nullptr || retain == nullptr) return;
  int device = 0;
  void* context = nullptr;
  if (init(0) == 0 && get(&device, index) == 0 && retain(&context, device) == 0) device_ = device;
}

}  // namespace brume::kernels::gpu

#include "kernels/gpu/driver.h"

#include <dlfcn.h>

namespace brume::kernels::gpu {

bool has_driver() {
  void* const driver = ::dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver != nullptr) ::dlclose(driver);
  return driver != nullptr;
}

}  // namespace brume::kernels::gpu

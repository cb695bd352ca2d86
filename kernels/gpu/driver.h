#pragma once

namespace brume::kernels::gpu {

/// Whether there is anything to ask for a GPU: the library that comes with NVIDIA's driver.
bool has_driver();

}  // namespace brume::kernels::gpu

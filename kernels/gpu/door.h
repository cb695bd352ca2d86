#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "kernels/gpu/gpu.h"

namespace brume::kernels::gpu {

/// Loads the plug-in, libbrume_cuda.so, and opens GPU `index`, as GpuDoor says. Must come before the first
/// tensor of a GPU is asked for in any way: libtorch looks once whether it has CUDA. Throws
/// std::runtime_error, one line, where the plug-in, libtorch's CUDA half, or such a GPU is not there.
std::unique_ptr<Gpu> open_gpu(const std::filesystem::path& plugin, int32_t index,
                              const std::filesystem::path& cache, const std::function<void()>& on_measuring);

}  // namespace brume::kernels::gpu

#include "kernels/gpu/call.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace brume::kernels::gpu {

Device current_device() {
  const cudaDeviceProp& device = *at::cuda::getCurrentDeviceProperties();
  return {{device.multiProcessorCount, static_cast<int32_t>(device.sharedMemPerBlockOptin),
           static_cast<int32_t>(device.sharedMemPerMultiprocessor)},
          device.major,
          device.minor,
          device.l2CacheSize};
}

CUstream_st* current_stream() { return at::cuda::getCurrentCUDAStream().stream(); }

Element element_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return Element::kFloat;
    case at::kHalf:
      return Element::kHalf;
    case at::kBFloat16:
      return Element::kBfloat16;
    default:
      throw std::invalid_argument(std::string("no kernel for ") + c10::toString(tensor.scalar_type()));
  }
}

void check(int error, const char* what) {
  if (error == cudaSuccess) return;
  const std::string text = std::string(what) + ": " + cudaGetErrorString(static_cast<cudaError_t>(error));
  // As libtorch says it of its own memory.
  if (error == cudaErrorMemoryAllocation) throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, text);
  throw c10::AcceleratorError({__func__, __FILE__, __LINE__}, error, text);
}

}  // namespace brume::kernels::gpu

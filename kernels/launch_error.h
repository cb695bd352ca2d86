#pragma once
#include <cuda_runtime_api.h>

namespace brume::kernels {

/// What a runtime call gave, for a caller who may go on. The runtime remembers an error until it is asked for
/// it, and would give it as that of the next launch, however good; this asks. (What a broken context gives,
/// it goes on giving.)
inline cudaError_t taken(cudaError_t error) {
  if (error != cudaSuccess) cudaGetLastError();
  return error;
}

}  // namespace brume::kernels

#include <cuda_runtime.h>

#include "kernels/element_dispatch.h"
#include "kernels/small_launch.h"
#include "kernels/small_plan.h"
#include "kernels/timestep_embedding_kernel.h"

namespace brume::kernels {

namespace {

template <class T>
__global__ void __launch_bounds__(device::kTimestepEmbeddingBudget.threads)
    timestep_embedding_kernel(const __grid_constant__ TimestepEmbeddingParams params) {
  device::timestep_embedding<T>(params);
}

}  // namespace

int launch_timestep_embedding(const TimestepEmbeddingParams& params, Element element, CUstream_st* stream) {
  const SmallPlan plan = plan_timestep_embedding(params);
  if (plan.blocks == 0) return cudaSuccess;
  return with_element(element, [&]<class T>() -> int {
    timestep_embedding_kernel<T><<<plan.blocks, plan.threads, 0, stream>>>(params);
    return cudaGetLastError();
  });
}

}  // namespace brume::kernels

#include <cuda_runtime.h>

#include "kernels/element_dispatch.h"
#include "kernels/geglu_kernel.h"
#include "kernels/small_launch.h"
#include "kernels/small_plan.h"

namespace brume::kernels {

namespace {

template <class T, int kVector>
__global__ void __launch_bounds__(device::kGegluBudget.threads)
    geglu_kernel(const __grid_constant__ GegluParams params) {
  device::geglu<T, kVector>(params);
}

}  // namespace

int launch_geglu(const GegluParams& params, Element element, CUstream_st* stream) {
  const SmallPlan plan = plan_geglu(params, bytes_of(element));
  if (plan.blocks == 0) return cudaSuccess;
  return with_element(element, [&]<class T>() -> int {
    const auto kernel = plan.vector == 1 ? geglu_kernel<T, 1> : geglu_kernel<T, 16 / sizeof(T)>;
    kernel<<<plan.blocks, plan.threads, plan.shared_bytes, stream>>>(params);
    return cudaGetLastError();
  });
}

}  // namespace brume::kernels

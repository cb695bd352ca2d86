#include <cuda_runtime.h>

#include "kernels/element_dispatch.h"
#include "kernels/silu_kernel.h"
#include "kernels/small_launch.h"
#include "kernels/small_plan.h"

namespace brume::kernels {

namespace {

template <class T, int kVector>
__global__ void __launch_bounds__(device::kSiluBudget.threads)
    silu_kernel(const __grid_constant__ SiluParams params) {
  device::silu<T, kVector>(params);
}

}  // namespace

int launch_silu(const SiluParams& params, Element element, CUstream_st* stream) {
  const SmallPlan plan = plan_silu(params, bytes_of(element));
  if (plan.blocks == 0) return cudaSuccess;
  return with_element(element, [&]<class T>() -> int {
    const auto kernel = plan.vector == 1 ? silu_kernel<T, 1> : silu_kernel<T, 16 / sizeof(T)>;
    kernel<<<plan.blocks, plan.threads, plan.shared_bytes, stream>>>(params);
    return cudaGetLastError();
  });
}

}  // namespace brume::kernels

#include <cuda_runtime.h>

#include "kernels/element_dispatch.h"
#include "kernels/guided_step_kernel.h"
#include "kernels/small_launch.h"
#include "kernels/small_plan.h"

namespace brume::kernels {

namespace {

template <class T, int kVector>
__global__ void __launch_bounds__(device::kGuidedStepBudget.threads)
    guided_step_kernel(const __grid_constant__ GuidedStepParams params) {
  device::guided_step<T, kVector>(params);
}

}  // namespace

int launch_guided_step(const GuidedStepParams& params, Element element, CUstream_st* stream) {
  const SmallPlan plan = plan_guided_step(params, bytes_of(element));
  if (plan.blocks == 0) return cudaSuccess;
  return with_element(element, [&]<class T>() -> int {
    const auto kernel = plan.vector == 1 ? guided_step_kernel<T, 1> : guided_step_kernel<T, 4>;
    kernel<<<plan.blocks, plan.threads, plan.shared_bytes, stream>>>(params);
    return cudaGetLastError();
  });
}

}  // namespace brume::kernels

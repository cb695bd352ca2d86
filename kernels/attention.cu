#include "kernels/attention_instances.h"
#include "kernels/attention_launch.h"
#include "kernels/element_dispatch.h"
#include "kernels/launch_error.h"

namespace brume::kernels {

namespace {

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kBudget.threads, Kernel::kBudget.blocks)
    attention_kernel(const __grid_constant__ AttentionParams params) {
  Kernel::run(params);
}

template <class T>
int launch(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
           cudaStream_t stream) {
  cudaError_t error = cudaErrorInvalidValue;
  visit_attention<T>(plan, [&]<class Kernel>() {
    const auto kernel = attention_kernel<Kernel>;
    error = taken(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Kernel::kSharedBytes));
    if (error != cudaSuccess) return;
    const dim3 grid(plan.blocks, shape.heads, shape.batch);
    kernel<<<grid, Kernel::kBudget.threads, Kernel::kSharedBytes, stream>>>(params);
    error = cudaGetLastError();
  });
  return static_cast<int>(error);
}

}  // namespace

int launch_attention(const AttentionParams& params, const AttentionShape& shape, const AttentionPlan& plan,
                     Element element, CUstream_st* stream) {
  if (!attention_is_aligned(params)) return cudaErrorMisalignedAddress;
  return with_half_element(element, cudaErrorInvalidValue,
                           [&]<class T>() { return launch<T>(params, shape, plan, stream); });
}

}  // namespace brume::kernels

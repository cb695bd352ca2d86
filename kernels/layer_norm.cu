#include <cuda_runtime.h>

#include "kernels/element_dispatch.h"
#include "kernels/layer_norm_kernel.h"
#include "kernels/small_launch.h"
#include "kernels/small_plan.h"

namespace brume::kernels {

namespace {

template <class T, int kVector>
__global__ void __launch_bounds__(device::LayerNorm<T, kVector>::kBudget.threads)
    layer_norm_kernel(const __grid_constant__ LayerNormParams params) {
  device::LayerNorm<T, kVector>{params}();
}

}  // namespace

int launch_layer_norm(const LayerNormParams& params, Element element, CUstream_st* stream) {
  if (!layer_norm_fits(params, bytes_of(element))) return cudaErrorInvalidValue;
  const SmallPlan plan = plan_layer_norm(params, bytes_of(element));
  if (plan.blocks == 0) return cudaSuccess;
  return with_element(element, [&]<class T>() -> int {
    const auto kernel = plan.vector == 1 ? layer_norm_kernel<T, 1> : layer_norm_kernel<T, 16 / sizeof(T)>;
    kernel<<<plan.blocks, plan.threads, plan.shared_bytes, stream>>>(params);
    return cudaGetLastError();
  });
}

}  // namespace brume::kernels

#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/element_dispatch.h"
#include "kernels/group_norm_kernel.h"
#include "kernels/group_norm_launch.h"
#include "kernels/group_norm_plan.h"
#include "kernels/launch_error.h"

namespace brume::kernels {

namespace {

using device::GroupNorm;

template <class T, int kVector>
__global__ void __launch_bounds__(GroupNorm<T, kVector>::kOneLaunchBudget.threads,
                                  GroupNorm<T, kVector>::kOneLaunchBudget.blocks)
    group_norm_one_launch(const __grid_constant__ GroupNormParams params,
                          const __grid_constant__ GroupNormPlan plan) {
  GroupNorm<T, kVector>(params, plan).one_launch();
}

template <class T, int kVector>
__global__ void __launch_bounds__(GroupNorm<T, kVector>::kPassBudget.threads,
                                  GroupNorm<T, kVector>::kPassBudget.blocks)
    group_norm_first_pass(const __grid_constant__ GroupNormParams params,
                          const __grid_constant__ GroupNormPlan plan, int first_job) {
  GroupNorm<T, kVector>(params, plan).first_pass(first_job);
}

template <class T, int kVector>
__global__ void __launch_bounds__(GroupNorm<T, kVector>::kPassBudget.threads,
                                  GroupNorm<T, kVector>::kPassBudget.blocks)
    group_norm_second_pass(const __grid_constant__ GroupNormParams params,
                           const __grid_constant__ GroupNormPlan plan, int first_job) {
  GroupNorm<T, kVector>(params, plan).second_pass(first_job);
}

template <class T, int kVector>
int launch_one(const GroupNormParams& params, const GroupNormPlan& plan, cudaStream_t stream) {
  const auto kernel = group_norm_one_launch<T, kVector>;
  if (plan.shared_bytes > kSharedBytesUnasked) {
    const cudaError_t error =
        taken(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(plan.chunks, plan.teams);
  config.blockDim = dim3(plan.threads);
  config.dynamicSmemBytes = plan.shared_bytes;
  config.stream = stream;
  config.attrs = &cooperative;
  config.numAttrs = group_norm_meets(plan) ? 1 : 0;
  return taken(cudaLaunchKernelEx(&config, kernel, params, plan));
}

template <class T, int kVector>
int launch_two(const GroupNormParams& params, const GroupNormPlan& plan, cudaStream_t stream) {
  const int jobs = params.shape.pictures * plan.slices;
  for (int first = 0; first < jobs; first += plan.teams) {
    const dim3 grid(plan.chunks, std::min(plan.teams, jobs - first));
    group_norm_first_pass<T, kVector><<<grid, plan.threads, plan.shared_bytes, stream>>>(params, plan, first);
    group_norm_second_pass<T, kVector>
        <<<grid, plan.threads, plan.shared_bytes, stream>>>(params, plan, first);
  }
  return cudaGetLastError();
}

template <class T, int kVector>
int launch(const GroupNormParams& params, const GroupNormPlan& plan, cudaStream_t stream) {
  if (plan.mode == GroupNormPlan::Mode::kTwoPasses) return launch_two<T, kVector>(params, plan, stream);
  const int error = launch_one<T, kVector>(params, plan, stream);
  if (error != cudaErrorCooperativeLaunchTooLarge) return error;
  // The process may have fewer multiprocessors than the GPU (MPS), or they fewer registers free.
  return launch_two<T, kVector>(params, group_norm_without_meeting(params.shape, plan), stream);
}

}  // namespace

int launch_group_norm(const GroupNormParams& params, const GroupNormPlan& plan, Element element,
                      CUstream_st* stream) {
  if (plan.chunks == 0) return cudaSuccess;
  return with_element(element, [&]<class T>() -> int {
    return plan.vector == 1 ? launch<T, 1>(params, plan, stream)
                            : launch<T, 16 / sizeof(T)>(params, plan, stream);
  });
}

}  // namespace brume::kernels

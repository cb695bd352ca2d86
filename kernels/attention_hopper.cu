#include <cuda.h>

#include "kernels/attention_hopper_instances.h"
#include "kernels/attention_hopper_launch.h"
#include "kernels/element_dispatch.h"
#include "kernels/launch_error.h"

// Compiled for sm_90a alone: its instructions are in no other architecture.
namespace brume::kernels {

namespace {

static_assert(sizeof(device::TensorMap) == sizeof(CUtensorMap) &&
              alignof(device::TensorMap) >= alignof(CUtensorMap));

template <class Tile>
__global__ void __launch_bounds__(HopperAttention<Tile>::kBudget.threads,
                                  HopperAttention<Tile>::kBudget.blocks)
    attention_hopper_kernel(const __grid_constant__ HopperAttentionParams params) {
  HopperAttention<Tile>::run(params);
}

/// The driver's function, asked for by name so that nothing links against the driver.
decltype(&cuTensorMapEncodeTiled) find_encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  constexpr unsigned kSince = 12000;  // the CUDA version that has it first
  if (taken(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSince, cudaEnableDefault,
                                             &found)) != cudaSuccess ||
      found != cudaDriverEntryPointSuccess)
    return nullptr;
  return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
}

CUtensorMapSwizzle swizzle_of(device::Swizzle swizzle) {
  switch (swizzle) {
    case device::Swizzle::k32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case device::Swizzle::k64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case device::Swizzle::k128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    case device::Swizzle::kNone:
      break;
  }
  return CU_TENSOR_MAP_SWIZZLE_NONE;
}

/// False where the driver refuses the tensor.
bool encode(const device::TensorTile& tile, CUtensorMapDataType type, device::TensorMap& map) {
  static const auto encoder = find_encoder();
  if (encoder == nullptr) return false;
  cuuint64_t sizes[4];
  cuuint64_t strides[3];
  for (int i = 0; i < 4; ++i) sizes[i] = static_cast<cuuint64_t>(tile.sizes[i]);
  for (int i = 0; i < 3; ++i) strides[i] = static_cast<cuuint64_t>(tile.strides[i]);
  const cuuint32_t box[4] = {static_cast<cuuint32_t>(tile.columns), 1, static_cast<cuuint32_t>(tile.rows), 1};
  const cuuint32_t steps[4] = {1, 1, 1, 1};
  return encoder(reinterpret_cast<CUtensorMap*>(&map), type, 4, const_cast<void*>(tile.base), sizes, strides,
                 box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(tile.swizzle),
                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

template <class T>
int launch(const AttentionParams& params, const AttentionShape& shape, const HopperAttentionPlan& plan,
           cudaStream_t stream) {
  constexpr auto kType =
      std::is_same_v<T, device::Half> ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  cudaError_t error = cudaErrorInvalidValue;
  visit_attention_hopper<T>(plan, [&]<class Tile>() {
    bool encoded = true;
    const HopperAttentionParams arguments =
        hopper_params<Tile>(params, shape, [&](const device::TensorTile& tile) {
          device::TensorMap map{};
          encoded = encode(tile, kType, map) && encoded;
          return map;
        });
    if (!encoded) return;
    constexpr int kBytes = HopperAttention<Tile>::kSharedBytes;
    const auto kernel = attention_hopper_kernel<Tile>;
    error = taken(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
    if (error != cudaSuccess) return;
    const dim3 grid(plan.blocks, shape.heads, shape.batch);
    kernel<<<grid, Tile::kThreads, kBytes, stream>>>(arguments);
    error = cudaGetLastError();
  });
  return static_cast<int>(error);
}

}  // namespace

int launch_attention_hopper(const AttentionParams& params, const AttentionShape& shape,
                            const HopperAttentionPlan& plan, Element element, CUstream_st* stream) {
  if (!attention_is_aligned(params)) return cudaErrorMisalignedAddress;
  return with_half_element(element, cudaErrorInvalidValue,
                           [&]<class T>() { return launch<T>(params, shape, plan, stream); });
}

}  // namespace brume::kernels

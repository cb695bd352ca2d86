#include <cuda.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>

#include "kernels/entry.h"

// What the launchers leave in the runtime where it refuses something and the caller goes on. The functions
// of the runtime that they call are this file's: the program's own come before those of the library.
namespace {

/// As much of a runtime as the launchers see.
struct Runtime {
  int refused_attributes = 0;         // how many calls to come are refused
  cudaError_t launch = cudaSuccess;   // what launches with attributes are answered
  cudaError_t pending = cudaSuccess;  // what is remembered
  int launches = 0;
};
Runtime runtime;

cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) runtime.pending = error;
  return error;
}

CUresult encode(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
                const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  return answer(runtime.refused_attributes-- > 0 ? cudaErrorInvalidValue : cudaSuccess);
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = runtime.pending;
  runtime.pending = cudaSuccess;
  return error;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = reinterpret_cast<void*>(encode);
  *found = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t*, const void*, void**) {
  ++runtime.launches;
  return answer(runtime.launch);
}

// What nvcc makes of <<<...>>>.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void*) {
  *kernel = nullptr;
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t) {
  ++runtime.launches;
  return cudaSuccess;
}
}

namespace {

constexpr BrumeGpu kHopper{132, 227 << 10, 228 << 10, 90, 50 << 20};

struct LaunchError : testing::Test {
  LaunchError() { runtime = {}; }
  alignas(16) std::array<std::byte, 64> memory{};  // never looked at

  BrumeAttention attention() {
    BrumeAttention call{};
    for (const void*& pointer : call.pointers) pointer = memory.data();
    for (int64_t& stride : call.strides) stride = 320;
    call.batch = 2;
    call.heads = 8;
    call.queries = call.keys = 4096;
    call.head_dim = 40;
    call.element = 1;
    return call;
  }

  BrumeGroupNorm group_norm() {
    BrumeGroupNorm call{};
    for (const void*& pointer : call.pointers) pointer = memory.data();
    call.workspace = memory.data();
    call.pictures = 2;
    call.pixels = 4096;
    call.channels = 320;
    call.groups = 32;
    call.element = 1;
    return call;
  }
};

TEST_F(LaunchError, OfTheHopperKernelIsNotTheOthers) {
  runtime.refused_attributes = 1;
  const BrumeAttention call = attention();
  EXPECT_EQ(brume_attention(&call, &kHopper, nullptr), 0);
  EXPECT_EQ(runtime.launches, 1);
  EXPECT_EQ(runtime.pending, cudaSuccess);
}

TEST_F(LaunchError, IsGivenAndForgotten) {
  runtime.refused_attributes = 2;
  const BrumeAttention call = attention();
  EXPECT_EQ(brume_attention(&call, &kHopper, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(runtime.launches, 0);
  EXPECT_EQ(runtime.pending, cudaSuccess);
  EXPECT_EQ(brume_attention(&call, &kHopper, nullptr), 0);
}

TEST_F(LaunchError, OfAMeetingIsForgottenWhetherItIsTriedAgainOrNot) {
  const BrumeGroupNorm call = group_norm();
  runtime.launch = cudaErrorCooperativeLaunchTooLarge;
  EXPECT_EQ(brume_group_norm(&call, &kHopper, nullptr), 0);
  EXPECT_GT(runtime.launches, 1);
  runtime.launch = cudaErrorInvalidConfiguration;
  EXPECT_EQ(brume_group_norm(&call, &kHopper, nullptr), cudaErrorInvalidConfiguration);
  EXPECT_EQ(runtime.pending, cudaSuccess);
}

}  // namespace

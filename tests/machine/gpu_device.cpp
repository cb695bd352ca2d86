#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "tests/machine/gpu.h"
#include "tests/skip_all.h"

namespace brume::kernels::machine {

namespace {

std::string message_of(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

/// 90 for 9.0.
int capability_here() {
  int major = 0;
  int minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
  return 10 * major + minor;
}

std::string written(int capability) {
  return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

constexpr int kAny = 0;

class NeedsGpu : public testing::Environment {
 public:
  explicit NeedsGpu(int capability) : capability_(capability) {}
  void SetUp() override {
    int devices = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    if (error != cudaSuccess || devices == 0) {
      skip_all("no GPU: " + message_of(error), "BRUME_REQUIRE_GPU");
    } else if (const int here = capability_here(); capability_ != kAny && capability_ != here) {
      skip_all("these kernels are for compute capability " + written(capability_) +
                   " alone, and the GPU has " + written(here),
               nullptr);
    }
  }

 private:
  int capability_;
};

}  // namespace

Report finished(int launched) {
  Report report;
  if (launched != cudaSuccess) report.faults.push_back("launch: " + message_of(launched));
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) report.faults.push_back("kernel: " + message_of(error));
  return report;
}

void skip_without_gpu() { testing::AddGlobalTestEnvironment(new NeedsGpu(kAny)); }

void skip_without_gpu_of(int capability) { testing::AddGlobalTestEnvironment(new NeedsGpu(capability)); }

}  // namespace brume::kernels::machine

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "tests/machine/gpu.h"
#include "tests/skip_all.h"

namespace brume::kernels::machine {

namespace {

std::string message_of(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

class NeedsGpu : public testing::Environment {
 public:
  explicit NeedsGpu(int capability) : capability_(capability) {}
  void SetUp() override {
    const std::string reason = missing_gpu(capability_);
    if (!reason.empty()) skip_all(reason, "BRUME_REQUIRE_GPU");
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

std::string missing_gpu(int capability) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) return "no GPU: " + message_of(error);
  int major = 0;
  int minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
  if (capability == 0 || capability == 10 * major + minor) return "";
  return "no GPU of compute capability " + std::to_string(capability / 10) + "." +
         std::to_string(capability % 10);
}

void skip_without_gpu(int capability) { testing::AddGlobalTestEnvironment(new NeedsGpu(capability)); }

}  // namespace brume::kernels::machine

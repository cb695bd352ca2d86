#include <cublas_v2.h>

#include <string>

#include "kernels/attention_wide_launch.h"
#include "tests/machine/gpu.h"

namespace brume::kernels::machine {

namespace {

[[maybe_unused]] const bool kSkips = (skip_without_gpu(), true);

cublasHandle_t handle() {
  // Lives as long as the program: cuBLAS must not outlive the driver's own clean-up.
  static const cublasHandle_t only = [] {
    cublasHandle_t made = nullptr;
    cublasCreate(&made);
    return made;
  }();
  return only;
}

}  // namespace

Report softmax_rows(const float* scores, void* weights, int rows, int columns, Element element) {
  return finished(launch_softmax_rows(scores, weights, rows, columns, element, nullptr));
}

Report wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                      Element element) {
  const int error = launch_wide_attention(params, shape, workspace, element, handle());
  Report report = finished(0);
  // A cuBLAS error and a CUDA error are both numbers; the text of either would mislead.
  if (error != 0) report.faults.push_back("wide attention: error " + std::to_string(error));
  return report;
}

}  // namespace brume::kernels::machine

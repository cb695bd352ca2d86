#include "kernels/gpu/linear_plan.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAFunctions.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string_view>

#include "kernels/gpu/scratch.h"
#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

constexpr size_t kMaxWorkspaceBytes = size_t{32} << 20;
constexpr cudaDataType_t kScaleType = CUDA_R_32F;

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cublasLt: ") + call + ": " + cublasLtGetStatusString(status));
}

/// cublasLt's handle of the current GPU. One serves all threads, and the process to its end, when the library
/// may be gone before our destructors run; so it is never destroyed.
cublasLtHandle_t library() {
  static auto& mutex = *new std::mutex;
  static auto& handles = *new std::map<c10::DeviceIndex, cublasLtHandle_t>;
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& handle = handles[c10::cuda::current_device()];
  if (handle == nullptr) check(cublasLtCreate(&handle), "cublasLtCreate");
  return handle;
}

/// A problem in the words of cublasLt, whose matrices lie column by column: a row-major matrix is its own
/// transpose to it. So it computes y^T [out, rows] = weight x^T.
class Description {
 public:
  Description(const LinearProblem& problem, const LinearOperands& operands) {
    check(cublasLtMatmulDescInit(&operation_, CUBLAS_COMPUTE_32F, kScaleType), "cublasLtMatmulDescInit");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    if (operands.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.bias->const_data_ptr());
    }
    const cudaDataType_t type = problem.dtype == at::kHalf ? CUDA_R_16F : CUDA_R_16BF;
    init(weight_, type, problem.in, problem.out);
    init(x_, type, problem.in, problem.rows);
    init(y_, type, problem.out, problem.rows);
  }

  cublasLtMatmulDesc_t operation() { return &operation_; }
  cublasLtMatrixLayout_t weight() { return &weight_; }
  cublasLtMatrixLayout_t x() { return &x_; }
  cublasLtMatrixLayout_t y() { return &y_; }

 private:
  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(&operation_, attribute, &value, sizeof(value)),
          "cublasLtMatmulDescSetAttribute");
  }
  static void init(cublasLtMatrixLayoutOpaque_t& layout, cudaDataType_t type, int64_t rows, int64_t columns) {
    check(cublasLtMatrixLayoutInit(&layout, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                                   rows),
          "cublasLtMatrixLayoutInit");
  }

  cublasLtMatmulDescOpaque_t operation_{};
  cublasLtMatrixLayoutOpaque_t weight_{};
  cublasLtMatrixLayoutOpaque_t x_{};
  cublasLtMatrixLayoutOpaque_t y_{};
};

/// What is asked of the algorithms.
class Preference {
 public:
  explicit Preference(const LinearProblem& problem) {
    check(cublasLtMatmulPreferenceInit(&preference_), "cublasLtMatmulPreferenceInit");
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kMaxWorkspaceBytes});
    // Parts of a sum that are rounded to half before they meet would be more than one rounding.
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    for (const auto matrix :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      set(matrix, static_cast<uint32_t>(problem.alignment));
  }
  cublasLtMatmulPreference_t get() { return &preference_; }

 private:
  template <typename Value>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulPreferenceSetAttribute(&preference_, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  }
  cublasLtMatmulPreferenceOpaque_t preference_{};
};

}  // namespace

std::string LinearProblem::text() const {
  return "linear " + name_of(dtype) + " " + std::to_string(rows) + "x" + std::to_string(in) + " " +
         std::to_string(out) + "x" + std::to_string(in) + " alignment " + std::to_string(alignment) +
         (has_bias ? " bias" : "") + (has_residual ? " residual" : "");
}

std::vector<LinearPlan> proposed_plans(const LinearProblem& problem, const LinearOperands& operands,
                                       int most) {
  Description description(problem, operands);
  Preference preference(problem);
  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<size_t>(most));
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      library(), description.operation(), description.weight(), description.x(), description.y(),
      description.y(), preference.get(), most, results.data(), &count);
  std::vector<LinearPlan> plans;
  if (status != CUBLAS_STATUS_SUCCESS) return plans;
  for (int i = 0; i < count; ++i) {
    const auto& result = results[static_cast<size_t>(i)];
    if (result.state != CUBLAS_STATUS_SUCCESS || result.workspaceSize > kMaxWorkspaceBytes) continue;
    plans.push_back({result.algo, result.workspaceSize});
  }
  return plans;
}

std::string written(const LinearPlan& plan) {
  std::string text;
  for (const uint64_t word : plan.algorithm.data) {
    std::array<char, 17> digits{};
    std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(word));
    text += digits.data();
  }
  return text;
}

std::optional<LinearPlan> read_plan(const LinearProblem& problem, const LinearOperands& operands,
                                    const std::string& text) {
  constexpr size_t kDigits = 16;
  LinearPlan plan;
  if (text.size() != kDigits * std::size(plan.algorithm.data) ||
      text.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  size_t place = 0;
  for (uint64_t& word : plan.algorithm.data) {
    word = std::stoull(text.substr(place, kDigits), nullptr, 16);
    place += kDigits;
  }
  Description description(problem, operands);
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(library(), description.operation(), description.weight(), description.x(),
                              description.y(), description.y(), &plan.algorithm, &result);
  if (status != CUBLAS_STATUS_SUCCESS || result.workspaceSize > kMaxWorkspaceBytes) return std::nullopt;
  plan.workspace_bytes = result.workspaceSize;
  return plan;
}

void multiply(const LinearPlan& plan, const LinearProblem& problem, const LinearOperands& operands,
              const at::Tensor& y) {
  Description description(problem, operands);
  const float one = 1;
  const float residual_share = operands.residual ? 1 : 0;
  const void* const c = operands.residual ? operands.residual->const_data_ptr() : y.const_data_ptr();
  const at::Tensor workspace = scratch(static_cast<int64_t>(plan.workspace_bytes), y);
  check(cublasLtMatmul(library(), description.operation(), &one, operands.weight.const_data_ptr(),
                       description.weight(), operands.x.const_data_ptr(), description.x(), &residual_share, c,
                       description.y(), y.mutable_data_ptr(), description.y(), &plan.algorithm,
                       plan.workspace_bytes > 0 ? workspace.mutable_data_ptr() : nullptr,
                       plan.workspace_bytes, at::cuda::getCurrentCUDAStream()),
        "cublasLtMatmul");
}

}  // namespace brume::kernels::gpu

#pragma once
#include <ATen/core/Tensor.h>
#include <cublasLt.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace brume::kernels::gpu {

/// All that a product's plan hangs on, beside the GPU.
struct LinearProblem {
  at::ScalarType dtype;
  int64_t rows;
  int64_t in;
  int64_t out;
  bool has_bias;
  bool has_residual;
  int64_t alignment;  // of all addresses, in bytes
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes the 0 that the compiler compares with for one
  auto operator<=>(const LinearProblem&) const = default;

  /// Names it among stored plans.
  std::string text() const;
};

/// As linear.h has them, but dense matrices.
struct LinearOperands {
  at::Tensor x;                        // [rows, in]
  at::Tensor weight;                   // [out, in]
  std::optional<at::Tensor> bias;      // [out]
  std::optional<at::Tensor> residual;  // [rows, out]
};

/// An algorithm of cublasLt and the scratch memory that it needs.
struct LinearPlan {
  cublasLtMatmulAlgo_t algorithm{};
  size_t workspace_bytes = 0;
};

/// What cublasLt proposes for the current GPU, the best first, at most `most`. Empty where it has none.
std::vector<LinearPlan> proposed_plans(const LinearProblem& problem, const LinearOperands& operands,
                                       int most);

/// The algorithm's bytes in hexadecimal digits.
std::string written(const LinearPlan& plan);
/// Nothing where that is no algorithm, or not one that does this problem here.
std::optional<LinearPlan> read_plan(const LinearProblem& problem, const LinearOperands& operands,
                                    const std::string& text);

/// Enqueues the product on the current stream. y [rows, out]. Throws std::runtime_error. Safe from any
/// thread.
void multiply(const LinearPlan& plan, const LinearProblem& problem, const LinearOperands& operands,
              const at::Tensor& y);

}  // namespace brume::kernels::gpu

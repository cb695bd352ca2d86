#pragma once
#include <ATen/core/Tensor.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/gpu/convolution.h"

namespace brume::kernels::gpu {

/// What is done to a convolution's sums before they are rounded.
struct Epilogue {
  bool has_bias;
  bool has_residual;
  bool has_relu;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes the 0 that the compiler compares with for one
  auto operator<=>(const Epilogue&) const = default;
};

/// As convolution.h has them, checked and laid out.
struct ConvolutionOperands {
  at::Tensor x;                        // [N, C, H, W]
  at::Tensor weight;                   // [K, C, kh, kw]
  std::optional<at::Tensor> bias;      // [K]
  std::optional<at::Tensor> residual;  // [N, K, H', W']
};

/// All that a convolution's plan hangs on, beside the GPU.
struct ConvolutionProblem {
  at::ScalarType dtype;
  int64_t batch;
  int64_t channels;
  int64_t height;
  int64_t width;
  int64_t filters;
  int64_t kernel_height;
  int64_t kernel_width;
  int64_t stride;
  int64_t padding;
  Epilogue epilogue;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes the 0 that the compiler compares with for one
  auto operator<=>(const ConvolutionProblem&) const = default;

  int64_t out_height() const { return (height + 2 * padding - kernel_height) / stride + 1; }
  int64_t out_width() const { return (width + 2 * padding - kernel_width) / stride + 1; }
  /// Names it among stored plans.
  std::string text() const;
};

/// Throws std::runtime_error where they are no convolution.
ConvolutionProblem convolution_problem(const ConvolutionOperands& operands,
                                       const ConvolutionOptions& options);
/// The operands where fused kernels expect them: channels last, tight.
ConvolutionOperands laid_out(const ConvolutionOperands& operands);
/// Room for the result. [N, K, H', W'] channels last
at::Tensor empty_result(const ConvolutionProblem& problem, const at::Tensor& x);

}  // namespace brume::kernels::gpu

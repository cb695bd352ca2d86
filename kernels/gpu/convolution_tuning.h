#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>

#include "kernels/gpu/convolution_plan.h"
#include "kernels/gpu/convolution_problem.h"

namespace brume::kernels::gpu {

/// How a problem is done.
struct ConvolutionChoice {
  std::shared_ptr<const ConvolutionPlan> plan;  // null: by unfused_convolution
};

/// The choice among what cuDNN proposes and the unfused calls, measured on the current stream with these
/// operands, and what to store of it: nothing where none could run.
struct TunedConvolution {
  ConvolutionChoice choice;
  std::string stored;
};
TunedConvolution tuned_convolution(const ConvolutionProblem& problem, const ConvolutionOperands& operands);

/// The choice that was stored; nothing where it cannot be made again.
std::optional<ConvolutionChoice> restored_convolution(const ConvolutionProblem& problem,
                                                      const std::string& stored);

/// By PyTorch's calls, one for each step, on operands of any layout. -> [N, K, H', W'] channels last
at::Tensor unfused_convolution(const ConvolutionProblem& problem, const ConvolutionOperands& operands);

}  // namespace brume::kernels::gpu

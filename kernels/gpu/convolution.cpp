#include "kernels/gpu/convolution.h"

#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAGuard.h>

#include <utility>

#include "kernels/gpu/choices.h"
#include "kernels/gpu/convolution_problem.h"
#include "kernels/gpu/convolution_tuning.h"
#include "kernels/gpu/plan_store.h"
#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

using Problem = std::pair<c10::DeviceIndex, ConvolutionProblem>;

/// For the whole process, as a plan serves every model and thread. Never destroyed: at the process's end
/// cuDNN may be gone before the plans that call it.
Choices<Problem, ConvolutionChoice>& choices() {
  static auto& table = *new Choices<Problem, ConvolutionChoice>;
  return table;
}

/// The stored choice, or else one measured now.
ConvolutionChoice made_choice(const Problem& of, const ConvolutionOperands& operands) {
  const auto& [device, problem] = of;
  const std::string key = problem.text();
  if (const auto stored = stored_plan(device, key)) {
    if (auto choice = restored_convolution(problem, *stored)) return *choice;
  }
  TunedConvolution tuned = tuned_convolution(problem, operands);
  if (!tuned.stored.empty()) store_plan(device, key, tuned.stored);
  return tuned.choice;
}

/// Null under capture, where an unknown problem can be neither built nor measured.
std::optional<ConvolutionChoice> choice_for(const Problem& problem, const ConvolutionOperands& operands) {
  if (auto known = choices().find(problem)) return known;
  if (is_captured()) return std::nullopt;
  const TuningSession session;
  if (auto known = choices().find(problem)) return known;  // another thread was first
  const ConvolutionChoice choice = made_choice(problem, operands);
  choices().put(problem, choice);
  return choice;
}

/// cuDNN's kernels read 16 bytes at a time.
bool is_aligned(const ConvolutionOperands& operands) {
  constexpr int64_t kBytes = 16;
  return common_alignment({operands.x.const_data_ptr(), operands.weight.const_data_ptr(),
                           operands.bias ? operands.bias->const_data_ptr() : nullptr,
                           operands.residual ? operands.residual->const_data_ptr() : nullptr}) >= kBytes;
}

}  // namespace

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       const std::optional<at::Tensor>& residual, const ConvolutionOptions& options) {
  const ConvolutionOperands given{x, weight, bias, residual};
  const ConvolutionProblem problem = convolution_problem(given, options);
  const c10::cuda::CUDAGuard on_device(x.device());
  // The libraries load code and allocate as they need it, also while a graph is captured, here or elsewhere.
  const c10::cuda::CUDAStreamCaptureModeGuard mode(cudaStreamCaptureModeRelaxed);
  const ConvolutionOperands operands = laid_out(given);
  if (operands.x.numel() == 0 || operands.weight.numel() == 0 || !is_aligned(operands))
    return unfused_convolution(problem, operands);
  const auto choice = choice_for({x.device().index(), problem}, operands);
  if (!choice || choice->plan == nullptr) return unfused_convolution(problem, operands);
  at::Tensor y = empty_result(problem, operands.x);
  (*choice->plan)(operands, y);
  return y;
}

}  // namespace brume::kernels::gpu

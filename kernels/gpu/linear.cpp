#include "kernels/gpu/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAGuard.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kernels/gpu/choices.h"
#include "kernels/gpu/linear_plan.h"
#include "kernels/gpu/plan_store.h"
#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

using Problem = std::pair<c10::DeviceIndex, LinearProblem>;
/// Nothing: by PyTorch's calls.
using Choice = std::optional<LinearPlan>;

/// For the whole process, as a plan serves every model and thread.
Choices<Problem, Choice>& choices() {
  static Choices<Problem, Choice> table;
  return table;
}

void require(bool met, const char* what) {
  if (!met) throw std::runtime_error(std::string("linear: ") + what);
}

bool is_like(const at::Tensor& tensor, const at::Tensor& x) {
  return tensor.scalar_type() == x.scalar_type() && tensor.device() == x.device();
}

std::vector<int64_t> result_sizes(const at::Tensor& x, const at::Tensor& weight) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return sizes;
}

void check_operands(const LinearOperands& operands) {
  const auto& [x, weight, bias, residual] = operands;
  require(x.is_cuda(), "x must be on a GPU");
  require(x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16, "x must be fp16 or bf16");
  require(x.dim() > 0 && weight.dim() == 2 && weight.size(1) == x.size(-1),
          "weight must have a column for each of x's elements");
  require(is_like(weight, x), "weight must be of x's type, on its GPU");
  if (bias) {
    require(is_like(*bias, x), "bias must be of x's type, on its GPU");
    require(bias->dim() == 1 && bias->size(0) == weight.size(0), "bias must have an element for each output");
  }
  if (residual) {
    require(is_like(*residual, x), "residual must be of x's type, on its GPU");
    require(residual->sizes() == at::IntArrayRef(result_sizes(x, weight)),
            "residual must have the result's sizes");
  }
}

at::Tensor by_aten(const LinearOperands& operands) {
  at::Tensor y = at::linear(operands.x, operands.weight, operands.bias);
  if (operands.residual) y.add_(*operands.residual);
  return y;
}

/// As dense matrices.
LinearOperands matrices(const LinearOperands& given, int64_t rows) {
  LinearOperands dense{given.x.reshape({rows, given.x.size(-1)}).contiguous(), given.weight.contiguous(),
                       std::nullopt, std::nullopt};
  if (given.bias) dense.bias = given.bias->contiguous();
  if (given.residual) dense.residual = given.residual->reshape({rows, given.weight.size(0)}).contiguous();
  return dense;
}

LinearProblem problem_of(const LinearOperands& operands) {
  const auto& [x, weight, bias, residual] = operands;
  return {.dtype = x.scalar_type(),
          .rows = x.size(0),
          .in = x.size(1),
          .out = weight.size(0),
          .has_bias = bias.has_value(),
          .has_residual = residual.has_value(),
          // The result's is that of PyTorch's allocations, 512.
          .alignment = common_alignment({x.const_data_ptr(), weight.const_data_ptr(),
                                         bias ? bias->const_data_ptr() : nullptr,
                                         residual ? residual->const_data_ptr() : nullptr})};
}

/// The fastest of what is proposed, measured with these operands and stored.
Choice tuned(const Problem& of, const LinearOperands& operands) {
  constexpr int kMaxPlans = 16;
  // No structured binding, which a lambda may not capture everywhere.
  const LinearProblem& problem = of.second;
  const std::vector<LinearPlan> plans = proposed_plans(problem, operands, kMaxPlans);
  const at::Tensor y = at::empty({problem.rows, problem.out}, operands.x.options());
  Choice fastest;
  float best = std::numeric_limits<float>::infinity();
  for (const LinearPlan& plan : plans) {
    const float time = milliseconds_of([&] { multiply(plan, problem, operands, y); }, best);
    if (time >= best) continue;
    best = time;
    fastest = plan;
  }
  if (fastest) {
    const std::string remark = "; " + written_milliseconds(best) + ", of " + std::to_string(plans.size());
    store_plan(of.first, problem.text(), written(*fastest) + remark);
  }
  return fastest;
}

Choice restored(const Problem& of, const LinearOperands& operands) {
  const auto& [device, problem] = of;
  const auto stored = stored_plan(device, problem.text());
  return stored ? read_plan(problem, operands, before_remark(*stored)) : std::nullopt;
}

Choice choice_for(const Problem& problem, const LinearOperands& operands) {
  if (const auto known = choices().find(problem)) return *known;
  if (is_captured()) {
    if (const Choice choice = restored(problem, operands)) return choice;
    const std::vector<LinearPlan> first = proposed_plans(problem.second, operands, 1);
    return first.empty() ? std::nullopt : Choice(first.front());
  }
  const TuningSession session;
  if (const auto known = choices().find(problem)) return *known;  // another thread was first
  Choice choice = restored(problem, operands);
  if (!choice) choice = tuned(problem, operands);
  choices().put(problem, choice);
  return choice;
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                  const std::optional<at::Tensor>& residual) {
  const LinearOperands given{x, weight, bias, residual};
  check_operands(given);
  const c10::cuda::CUDAGuard on_device(x.device());
  // The libraries load code and allocate as they need it, also while a graph is captured, here or elsewhere.
  const c10::cuda::CUDAStreamCaptureModeGuard mode(cudaStreamCaptureModeRelaxed);
  if (x.numel() == 0 || weight.numel() == 0) return by_aten(given);
  const LinearOperands operands = matrices(given, x.numel() / x.size(-1));
  const LinearProblem problem = problem_of(operands);
  const Choice choice = choice_for({x.device().index(), problem}, operands);
  if (!choice) return by_aten(given);
  const at::Tensor y = at::empty({problem.rows, problem.out}, x.options());
  multiply(*choice, problem, operands, y);
  return y.view(result_sizes(x, weight));
}

}  // namespace brume::kernels::gpu

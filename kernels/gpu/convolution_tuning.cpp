#include "kernels/gpu/convolution_tuning.h"

#include <ATen/ops/cudnn_convolution.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

using Clock = std::chrono::steady_clock;
using Plan = std::shared_ptr<const ConvolutionPlan>;

constexpr std::chrono::milliseconds kBudget{1500};
constexpr size_t kMaxPlans = 8;
constexpr unsigned kMaxThreads = 8;
const char* const kUnfused = "unfused";

/// Builds plans side by side: an engine whose kernel is compiled at run time takes half a second.
class Builder {
 public:
  Builder(const ConvolutionProblem& problem, std::vector<std::string> engines, Clock::time_point deadline)
      : problem_(problem), engines_(std::move(engines)), deadline_(deadline), built_(engines_.size()) {}

  /// The plans that were built in time, in the order of their engines.
  std::vector<Plan> operator()() {
    const c10::DeviceIndex device = c10::cuda::current_device();
    const size_t threads = std::min<size_t>(
        {engines_.size(), kMaxThreads, std::max(2U, std::thread::hardware_concurrency() / 2)});
    {
      std::vector<std::jthread> workers;
      for (size_t i = 0; i < threads; ++i) workers.emplace_back([this, device] { work(device); });
    }
    std::erase(built_, nullptr);
    return std::move(built_);
  }

 private:
  void work(c10::DeviceIndex device) {
    try {
      // Not PyTorch's guard: this makes the device's context the thread's, which cuDNN needs.
      if (cudaSetDevice(device) != cudaSuccess) return;
      const c10::cuda::CUDAStreamCaptureModeGuard mode(cudaStreamCaptureModeRelaxed);
      // Each begins one, however late it is.
      do {
        const size_t i = next_.fetch_add(1);
        if (i >= engines_.size()) return;
        built_[i] = ConvolutionPlan::build(problem_, engines_[i]);
        if (built_[i] != nullptr) ++plans_;
      } while (plans_ < kMaxPlans && Clock::now() < deadline_);
    } catch (const std::exception&) {
      // A thread that cannot have a handle builds nothing.
    }
  }

  const ConvolutionProblem& problem_;
  const std::vector<std::string> engines_;
  const Clock::time_point deadline_;
  std::vector<Plan> built_;  // one for each engine, so that threads write to places of their own
  std::atomic<size_t> next_{0};
  std::atomic<size_t> plans_{0};
};

}  // namespace

TunedConvolution tuned_convolution(const ConvolutionProblem& problem, const ConvolutionOperands& operands) {
  const Clock::time_point deadline = Clock::now() + kBudget;
  const std::vector<Plan> plans = Builder(problem, proposed_engines(problem), deadline)();
  const at::Tensor y = empty_result(problem, operands.x);
  const float unfused = milliseconds_of([&] { unfused_convolution(problem, operands); },
                                        std::numeric_limits<float>::infinity());
  Plan fastest;
  float best = unfused;
  for (const Plan& plan : plans) {
    const float time = milliseconds_of([&] { (*plan)(operands, y); }, best);
    if (time >= best) continue;
    best = time;
    fastest = plan;
  }
  if (std::isinf(best)) return {};
  const std::string remark = "; " + written_milliseconds(best) + ", unfused " +
                             written_milliseconds(unfused) + ", of " + std::to_string(plans.size()) +
                             " plans";
  return {{fastest}, (fastest != nullptr ? fastest->engine() : kUnfused) + remark};
}

std::optional<ConvolutionChoice> restored_convolution(const ConvolutionProblem& problem,
                                                      const std::string& stored) {
  const std::string engine = before_remark(stored);
  if (engine == kUnfused) return ConvolutionChoice{};
  Plan plan = ConvolutionPlan::build(problem, engine);
  if (plan == nullptr) return std::nullopt;
  return ConvolutionChoice{std::move(plan)};
}

at::Tensor unfused_convolution(const ConvolutionProblem& problem, const ConvolutionOperands& operands) {
  constexpr bool kBenchmark = false;
  constexpr bool kDeterministic = true;
  constexpr bool kAllowTf32 = false;
  const auto& [x, weight, bias, residual] = operands;
  at::Tensor y =
      at::cudnn_convolution(x, weight, {problem.padding, problem.padding}, {problem.stride, problem.stride},
                            {1, 1}, 1, kBenchmark, kDeterministic, kAllowTf32);
  if (bias) y.add_(bias->view({1, -1, 1, 1}));
  if (residual) y.add_(*residual);
  if (problem.epilogue.has_relu) y.relu_();
  return y.contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace brume::kernels::gpu

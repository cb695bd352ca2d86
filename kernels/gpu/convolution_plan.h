#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/gpu/convolution_problem.h"

namespace cudnn_frontend::graph {
class Graph;
}

namespace brume::kernels::gpu {

/// A convolution and its epilogue as cuDNN compiled them for one engine: one kernel, or a few.
class ConvolutionPlan {
 public:
  static constexpr int64_t kMaxWorkspaceBytes = int64_t{256} << 20;

  /// For the current GPU. Null where the engine cannot do it, wants more workspace, multiplies transformed
  /// inputs (Winograd, FFT), or is not the same in each run. `engine` is a text of proposed_engines.
  static std::shared_ptr<const ConvolutionPlan> build(const ConvolutionProblem& problem,
                                                      const std::string& engine);
  ConvolutionPlan(std::shared_ptr<const cudnn_frontend::graph::Graph> graph, std::string engine,
                  int64_t workspace_bytes);

  /// Enqueues it on the current stream. The operands are those of the problem, laid out, at addresses that
  /// are multiples of 16. y [N, K, H', W'] channels last. Throws std::runtime_error. Safe from any thread.
  void operator()(const ConvolutionOperands& operands, const at::Tensor& y) const;
  const std::string& engine() const { return engine_; }

 private:
  std::shared_ptr<const cudnn_frontend::graph::Graph> graph_;
  std::string engine_;
  int64_t workspace_bytes_;
  mutable std::mutex mutex_;  // cuDNN does not promise that one plan may be enqueued by two threads at once
};

/// What cuDNN's heuristics propose for the current GPU, the best first: engines and their knobs. Empty where
/// it has none.
std::vector<std::string> proposed_engines(const ConvolutionProblem& problem);

}  // namespace brume::kernels::gpu

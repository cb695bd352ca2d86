#include "brume/bench/profile.h"

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string_view>

namespace brume::bench {

namespace {

using Clock = std::chrono::steady_clock;

at::IntArrayRef sizes_of(const at::RecordFunction& call, size_t index) {
  return call.inputs()[index].toTensor().sizes();
}

/// Products that an operation of kernels/ does, from its inputs as its door records them.
double flop_of(const at::RecordFunction& call) {
  const std::string_view name = call.name();
  if (name == "brume::attention") {
    const at::IntArrayRef q = sizes_of(call, 0);  // [N, Tq, heads, head_dim]
    const at::IntArrayRef k = sizes_of(call, 1);
    return 4.0 * static_cast<double>(q[0] * q[1] * q[2]) * static_cast<double>(k[1] * q[3]);
  }
  if (name == "brume::linear") {
    const at::Tensor x = call.inputs()[0].toTensor();
    const at::IntArrayRef weight = sizes_of(call, 1);  // [out, in]
    return 2.0 * static_cast<double>(x.numel()) * static_cast<double>(weight[0]);
  }
  if (name == "brume::convolution") {
    const at::IntArrayRef x = sizes_of(call, 0);       // [N, in, H, W]
    const at::IntArrayRef weight = sizes_of(call, 1);  // [out, in, k, k]
    const int64_t stride = call.inputs()[2].toInt();
    const auto area = static_cast<double>(x[0] * x[2] * x[3]) / static_cast<double>(stride * stride);
    return 2.0 * area * static_cast<double>(weight[0] * weight[1] * weight[2] * weight[3]);
  }
  return 0;
}

}  // namespace

struct Profiler::Calls {
  std::map<std::string, Operation> by_name;
  int depth = 0;  // of operations that call others
  std::string name;
  double flop = 0;
  Clock::time_point start;

  void begin(const at::RecordFunction& call) {
    if (depth++ > 0) return;
    name = call.name();
    flop = flop_of(call);  // the inputs are gone when it ends
    start = Clock::now();
  }

  void end() {
    if (--depth > 0) return;
    Operation& operation = by_name[name];
    operation.name = name;
    ++operation.calls;
    operation.seconds += std::chrono::duration<double>(Clock::now() - start).count();
    operation.flop += flop;
  }
};

namespace {

/// What libtorch's callbacks, plain functions, write to: the profiler that lives on this thread.
template <class Calls>
Calls*& current() {
  thread_local Calls* calls = nullptr;
  return calls;
}

}  // namespace

Profiler::Profiler() : calls_(std::make_unique<Calls>()) {
  current<Calls>() = calls_.get();
  const auto begin = [](const at::RecordFunction& call) -> std::unique_ptr<at::ObserverContext> {
    current<Calls>()->begin(call);
    return nullptr;
  };
  const auto end = [](const at::RecordFunction&, at::ObserverContext*) { current<Calls>()->end(); };
  handle_ = at::addThreadLocalCallback(
      at::RecordFunctionCallback(begin, end).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

Profiler::~Profiler() {
  at::removeCallback(handle_);
  current<Calls>() = nullptr;
}

std::vector<Operation> Profiler::operations() const {
  std::vector<Operation> all;
  for (const auto& [name, operation] : calls_->by_name) all.push_back(operation);
  std::stable_sort(all.begin(), all.end(),
                   [](const Operation& a, const Operation& b) { return a.seconds > b.seconds; });
  return all;
}

}  // namespace brume::bench

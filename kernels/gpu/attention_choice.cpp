#include "kernels/gpu/attention_choice.h"

#include <cmath>
#include <limits>
#include <utility>

#include "kernels/gpu/choices.h"
#include "kernels/gpu/plan_store.h"
#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

using Problem = std::pair<c10::DeviceIndex, AttentionProblem>;

/// For the whole process: a choice serves every model and thread.
Choices<Problem, AttentionBy>& choices() {
  static Choices<Problem, AttentionBy> table;
  return table;
}

constexpr const char* kOurs = "ours";
constexpr const char* kCudnn = "cudnn";

AttentionBy measured(const Problem& of, const std::function<void()>& ours,
                     const std::function<void()>& cudnn) {
  const float us = milliseconds_of(ours, std::numeric_limits<float>::infinity());
  const float them = milliseconds_of(cudnn, us);
  const AttentionBy by = us <= them ? AttentionBy::kOurs : AttentionBy::kCudnn;
  // What failed may have failed for want of memory, and not the next time.
  if (!std::isfinite(us) || !std::isfinite(them)) return by;
  store_plan(of.first, of.second.text(),
             std::string(by == AttentionBy::kOurs ? kOurs : kCudnn) + "; ours " + written_milliseconds(us) +
                 ", cuDNN's " + written_milliseconds(them));
  return by;
}

}  // namespace

std::string AttentionProblem::text() const {
  const auto times = [](int64_t number) { return std::to_string(number) + "x"; };
  return "attention " + name_of(dtype) + " " + times(batch) + times(heads) + times(queries) +
         std::to_string(keys) + " d " + std::to_string(head_dim);
}

AttentionBy attention_by(c10::DeviceIndex device, const AttentionProblem& problem,
                         const std::function<void()>& ours, const std::function<void()>& cudnn) {
  const Problem of{device, problem};
  if (const auto known = choices().find(of)) return *known;
  if (const auto stored = stored_plan(device, problem.text())) {
    const AttentionBy by = before_remark(*stored) == kCudnn ? AttentionBy::kCudnn : AttentionBy::kOurs;
    choices().put(of, by);
    return by;
  }
  if (is_captured()) return AttentionBy::kOurs;
  const TuningSession session;
  if (const auto known = choices().find(of)) return *known;  // another thread was first
  const AttentionBy by = measured(of, ours, cudnn);
  choices().put(of, by);
  return by;
}

}  // namespace brume::kernels::gpu

#pragma once
#include <ATen/core/Tensor.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace brume::kernels::gpu {

/// What the time of an attention hangs on.
struct AttentionProblem {
  at::ScalarType dtype;
  int64_t batch;
  int64_t heads;
  int64_t queries;
  int64_t keys;
  int64_t head_dim;

  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes the 0 that the compiler compares with for one
  auto operator<=>(const AttentionProblem&) const = default;
  /// "attention fp16 2x8x4096x4096 d 40"
  std::string text() const;
};

enum class AttentionBy { kOurs, kCudnn };

/// Who is faster on this GPU: measured when a problem is met first, and stored; while a graph is recorded
/// nothing can be measured, and ours takes what is unknown.
AttentionBy attention_by(c10::DeviceIndex device, const AttentionProblem& problem,
                         const std::function<void()>& ours, const std::function<void()>& cudnn);

}  // namespace brume::kernels::gpu

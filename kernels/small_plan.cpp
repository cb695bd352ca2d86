#include "kernels/small_plan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "kernels/device/number.h"

namespace brume::kernels {

using device::ceil_div;
using device::round_up;

namespace {

constexpr int kVectorBytes = 16;
constexpr int kThreads = 256;
constexpr int kRowThreads = 128;
constexpr int kWarp = 32;

bool aligned(const void* data, int bytes) { return reinterpret_cast<uintptr_t>(data) % bytes == 0; }

bool aligned(const Rows& rows, int element_bytes) {
  return rows.data == nullptr ||
         (aligned(rows.data, kVectorBytes) && rows.stride * element_bytes % kVectorBytes == 0);
}
bool aligned(const MutableRows& rows, int element_bytes) {
  return aligned(Rows{rows.data, rows.stride}, element_bytes);
}

int blocks_for(int64_t accesses) { return static_cast<int>((accesses + kThreads - 1) / kThreads); }

}  // namespace

bool layer_norm_fits(const LayerNormParams& params, int element_bytes) {
  // What a row is rounded up to is no longer than this either, which whole warps of vectors fill.
  static_assert(kLayerNormMostBytes % (kWarp * kVectorBytes) == 0);
  return params.rows < 1 || params.width <= kLayerNormMostBytes / element_bytes;
}

SmallPlan plan_layer_norm(const LayerNormParams& params, int element_bytes) {
  const int vector = kVectorBytes / element_bytes;
  const bool fits = params.width % vector == 0 && aligned(params.x, element_bytes) &&
                    aligned(params.residual, element_bytes) && aligned(params.sum, element_bytes) &&
                    aligned(params.y, element_bytes) && aligned(params.weight, kVectorBytes) &&
                    aligned(params.bias, kVectorBytes);
  SmallPlan plan{fits ? vector : 1, 0, kRowThreads, 0};
  if (params.rows < 1 || params.width < 1) return plan;
  const int row_bytes = round_up(params.width, kWarp * plan.vector) * element_bytes;
  const int warps = std::min(kRowThreads / kWarp, kLayerNormMostBytes / row_bytes);
  plan.threads = warps * kWarp;
  plan.blocks = ceil_div(params.rows, warps);
  plan.shared_bytes = warps * row_bytes;
  return plan;
}

SmallPlan plan_geglu(const GegluParams& params, int element_bytes) {
  int vector = kVectorBytes / element_bytes;
  const bool fits =
      params.width % vector == 0 && aligned(params.x, element_bytes) && aligned(params.y, element_bytes);
  if (!fits) vector = 1;
  return {vector, blocks_for(int64_t{params.rows} * (params.width / vector)), kThreads, 0};
}

SmallPlan plan_silu(const SiluParams& params, int element_bytes) {
  const bool fits = aligned(params.x, kVectorBytes) && aligned(params.y, kVectorBytes);
  const int vector = fits ? kVectorBytes / element_bytes : 1;
  return {vector, blocks_for((params.count + vector - 1) / vector), kThreads, 0};
}

SmallPlan plan_timestep_embedding(const TimestepEmbeddingParams& params) {
  return {1, blocks_for(int64_t{params.count} * ceil_div(params.width, 2)), kThreads, 0};
}

SmallPlan plan_guided_step(const GuidedStepParams& params, int element_bytes) {
  constexpr int kLatents = 4;  // fp32, a vector's worth
  bool fits = true;
  for (const void* data : {static_cast<const void*>(params.latents), static_cast<const void*>(params.noise),
                           static_cast<const void*>(params.next)})
    fits = fits && aligned(data, kVectorBytes);
  for (const void* data : {params.negative, params.positive})
    fits = fits && aligned(data, kLatents * element_bytes);
  const int vector = fits ? kLatents : 1;
  return {vector, blocks_for((params.count + vector - 1) / vector), kThreads, 0};
}

StepFactors ddim_factors(double alpha, double previous, double eta, StepPrediction prediction) {
  const double signal = std::sqrt(alpha);
  const double noise = std::sqrt(1 - alpha);
  const double next_signal = std::sqrt(previous);
  const double sigma = eta * std::sqrt((1 - previous) / (1 - alpha) * (1 - alpha / previous));
  const double direction = std::sqrt(1 - previous - sigma * sigma);
  double latents = next_signal / signal;
  double predicted = direction - next_signal * noise / signal;
  if (prediction == StepPrediction::kV) {
    latents = next_signal * signal + direction * noise;
    predicted = direction * signal - next_signal * noise;
  } else if (prediction == StepPrediction::kSample) {
    latents = direction / noise;
    predicted = next_signal - direction * signal / noise;
  }
  return {static_cast<float>(latents), static_cast<float>(predicted), static_cast<float>(sigma), 1.0F};
}

}  // namespace brume::kernels

#pragma once
#include "kernels/budget.h"
#include "kernels/small_params.h"

namespace brume::kernels {

/// How a small kernel is launched: `vector` elements an access, or 1 where a place is not aligned.
struct SmallPlan {
  int vector;
  int blocks;
  int threads;
  int shared_bytes;
};

// Where there are no elements, a plan has no blocks, and nothing is to be launched.

/// A warp takes a row and keeps it on chip. No row may be longer than kLayerNormMostBytes.
inline constexpr int kLayerNormMostBytes = kSharedBytesUnasked;
bool layer_norm_fits(const LayerNormParams& params, int element_bytes);
/// Of rows that fit.
SmallPlan plan_layer_norm(const LayerNormParams& params, int element_bytes);
SmallPlan plan_geglu(const GegluParams& params, int element_bytes);
SmallPlan plan_silu(const SiluParams& params, int element_bytes);
SmallPlan plan_timestep_embedding(const TimestepEmbeddingParams& params);
SmallPlan plan_guided_step(const GuidedStepParams& params, int element_bytes);

enum class StepPrediction { kEpsilon, kV, kSample };

/// The factors of a DDIM step from a signal share (alphas_cumprod) of `alpha` to one of `previous`. Guidance
/// is left 1. With s = sqrt(alpha), n = sqrt(1 - alpha), s' = sqrt(previous), sigma the step's noise and
/// d = sqrt(1 - previous - sigma^2), a step is next = s' x0 + d e + sigma z, where the prediction p means
///   epsilon:  e = p,              x0 = (x - n p) / s:  next = s'/s x       + (d - s' n / s) p + sigma z
///   v:        e = s p + n x,      x0 = s x - n p:      next = (s' s + d n) x + (d s - s' n) p + sigma z
///   sample:   e = (x - s p) / n,  x0 = p:              next = d/n x        + (s' - d s / n) p + sigma z
/// Clipping and rescaled guidance stand between the prediction and x0, and are not for this kernel.
StepFactors ddim_factors(double alpha, double previous, double eta, StepPrediction prediction);

}  // namespace brume::kernels

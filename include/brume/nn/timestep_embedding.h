#pragma once
#include <ATen/core/Tensor.h>

#include "brume/nn/linear.h"
#include "brume/weights/weights.h"

namespace brume::nn {

struct SinusoidShape {
  int64_t width;
  bool cosine_first;  // flip_sin_to_cos
  double freq_shift;  // downscale_freq_shift
};

/// Sines and cosines of `values` [N] fp32 at `width`/2 frequencies ("Attention Is All You Need", section 3.5)
/// -> [N, width] fp32. Mirrors diffusers.models.embeddings.get_timestep_embedding.
at::Tensor sinusoidal_embedding(const at::Tensor& values, const SinusoidShape& shape);

/// Linear, SiLU, linear. Mirrors diffusers.models.embeddings.TimestepEmbedding.
class TimestepEmbedding {
 public:
  TimestepEmbedding(const WeightsView& weights, int64_t in, int64_t width);
  /// [N, in] -> [N, width]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Linear linear1_;
  Linear linear2_;
};

}  // namespace brume::nn

#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

struct SinusoidShape {
  int64_t width;
  bool cosine_first;  // flip_sin_to_cos
  double freq_shift;  // downscale_freq_shift
};

/// Sines and cosines of `values` [N] fp32 at `width`/2 frequencies ("Attention Is All You Need", section 3.5)
/// -> [N, width] fp32. Mirrors diffusers.models.embeddings.get_timestep_embedding.
at::Tensor sinusoidal_embedding(const at::Tensor& values, const SinusoidShape& shape);

}  // namespace brume::kernels

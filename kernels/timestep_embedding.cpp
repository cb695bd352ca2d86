#include "kernels/timestep_embedding.h"

#include <ATen/ATen.h>

#include <cmath>

#include "kernels/gpu/operations.h"

namespace brume::kernels {

at::Tensor sinusoidal_embedding(const at::Tensor& values, const SinusoidShape& shape) {
  if (values.is_cuda()) return gpu::sinusoidal_embedding(values, shape);
  constexpr double kMaxPeriod = 10000;
  const int64_t half = shape.width / 2;
  const at::Tensor exponent =
      at::arange(half, at::kFloat) * -std::log(kMaxPeriod) / (half - shape.freq_shift);
  const at::Tensor angles = values.to(at::kFloat).unsqueeze(1) * exponent.exp().unsqueeze(0);  // [N, half]
  const at::Tensor waves = shape.cosine_first ? at::cat({angles.cos(), angles.sin()}, 1)
                                              : at::cat({angles.sin(), angles.cos()}, 1);
  return shape.width % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

}  // namespace brume::kernels

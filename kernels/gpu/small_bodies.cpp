#include "kernels/gpu/small_bodies.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include <vector>

#include "kernels/gpu/call.h"
#include "kernels/small_launch.h"

namespace brume::kernels::gpu::bodies {

at::Tensor geglu(const at::Tensor& x) {
  const c10::cuda::CUDAGuard on_device(x.device());
  const at::Tensor input = x.contiguous();
  std::vector<int64_t> sizes = input.sizes().vec();
  const int64_t width = sizes.back() / 2;
  sizes.back() = width;
  at::Tensor y = at::empty(sizes, input.options());
  if (y.numel() == 0) return y;
  check(launch_geglu({.rows = static_cast<int>(y.numel() / width),
                      .width = static_cast<int>(width),
                      .x = {input.const_data_ptr(), 2 * width},
                      .y = {y.mutable_data_ptr(), width}},
                     element_of(input), current_stream()),
        "GEGLU");
  return y;
}

at::Tensor sinusoidal_embedding(const at::Tensor& values, int64_t width, bool cosine_first,
                                double freq_shift) {
  const c10::cuda::CUDAGuard on_device(values.device());
  const at::Tensor exact = values.to(at::kFloat).contiguous();
  at::Tensor y = at::empty({exact.size(0), width}, exact.options());
  check(launch_timestep_embedding({.count = static_cast<int>(exact.size(0)),
                                   .width = static_cast<int>(width),
                                   .values = exact.const_data_ptr<float>(),
                                   .y = {y.mutable_data_ptr(), width},
                                   .order = cosine_first ? WaveOrder::kCosineFirst : WaveOrder::kSineFirst,
                                   .freq_shift = static_cast<float>(freq_shift)},
                                  Element::kFloat, current_stream()),
        "timestep embedding");
  return y;
}

}  // namespace brume::kernels::gpu::bodies

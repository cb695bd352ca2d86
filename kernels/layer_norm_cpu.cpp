#include "kernels/layer_norm_cpu.h"

#include <ATen/ATen.h>

#include "kernels/cpu/machine_for.h"
#include "kernels/cpu/parallel.h"

namespace brume::kernels {

at::Tensor layer_norm_cpu(const cpu::Machine& machine, const at::Tensor& x, const at::Tensor& weight,
                          const at::Tensor& bias, double eps) {
  const at::Tensor rows = x.contiguous();
  at::Tensor norm = at::empty_like(rows);
  const at::Tensor weights = weight.to(at::kFloat).contiguous();
  const at::Tensor biases = bias.to(at::kFloat).contiguous();
  const int64_t width = x.size(-1);
  const int64_t row_bytes = width * x.element_size();
  const auto* from = static_cast<const char*>(rows.const_data_ptr());
  auto* to = static_cast<char*>(norm.mutable_data_ptr());
  const auto layer_norm = cpu::kernels_for(machine, x.scalar_type()).layer_norm;
  cpu::parallel(width == 0 ? 0 : x.numel() / width, width, [&](int64_t first, int64_t last) {
    layer_norm({from + first * row_bytes, to + first * row_bytes, weights.const_data_ptr<float>(),
                biases.const_data_ptr<float>(), last - first, width, static_cast<float>(eps)});
  });
  return norm;
}

}  // namespace brume::kernels

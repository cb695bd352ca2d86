#include "kernels/layer_norm_cpu.h"

#include <ATen/ATen.h>

#include "kernels/cpu/machine_for.h"
#include "kernels/cpu/parallel.h"

namespace brume::kernels {

SumAndNorm layer_norm_cpu(const cpu::Machine& machine, const at::Tensor& x, const at::Tensor& residual,
                          const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const at::Tensor rows = x.contiguous();
  const at::Tensor added = residual.defined() ? residual.contiguous() : at::Tensor();
  const at::Tensor sum = added.defined() ? at::empty_like(rows) : rows;
  const at::Tensor norm = at::empty_like(rows);
  const at::Tensor weights = weight.to(at::kFloat).contiguous();
  const at::Tensor biases = bias.to(at::kFloat).contiguous();
  const int64_t width = x.size(-1);
  const int64_t count = width == 0 ? 0 : x.numel() / width;
  const auto of_row = [&](const at::Tensor& tensor, int64_t row) {
    return static_cast<char*>(tensor.data_ptr()) + row * width * tensor.element_size();
  };
  const auto layer_norm = cpu::kernels_for(machine, x.scalar_type()).layer_norm;
  cpu::parallel(count, width, [&](int64_t first, int64_t last) {
    layer_norm({of_row(rows, first), added.defined() ? of_row(added, first) : nullptr, of_row(sum, first),
                of_row(norm, first), weights.const_data_ptr<float>(), biases.const_data_ptr<float>(),
                last - first, width, static_cast<float>(eps)});
  });
  return {sum, norm};
}

}  // namespace brume::kernels

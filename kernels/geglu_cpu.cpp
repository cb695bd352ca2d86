#include "kernels/geglu_cpu.h"

#include <ATen/ATen.h>

#include "kernels/cpu/machine_for.h"
#include "kernels/cpu/parallel.h"

namespace brume::kernels {

at::Tensor geglu_cpu(const cpu::Machine& machine, const at::Tensor& x) {
  const at::Tensor rows = x.contiguous();
  const int64_t width = x.size(-1) / 2;
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = width;
  at::Tensor out = at::empty(sizes, x.options());
  const int64_t row_bytes = width * x.element_size();
  const auto* from = static_cast<const char*>(rows.const_data_ptr());
  auto* to = static_cast<char*>(out.mutable_data_ptr());
  const auto geglu = cpu::kernels_for(machine, x.scalar_type()).geglu;
  cpu::parallel(width == 0 ? 0 : out.numel() / width, width, [&](int64_t first, int64_t last) {
    geglu(from + 2 * first * row_bytes, last - first, width, to + first * row_bytes);
  });
  return out;
}

}  // namespace brume::kernels

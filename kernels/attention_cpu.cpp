#include "kernels/attention_cpu.h"

#include <ATen/ATen.h>

#include <cmath>

#include "kernels/cpu/machine_for.h"
#include "kernels/cpu/parallel.h"

namespace brume::kernels {

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr int64_t kPerCycle = 16;  // multiply-adds in the time that a norm takes for a number, at least

/// A view whose last dimension is contiguous.
at::Tensor by_rows(const at::Tensor& x) { return x.stride(3) == 1 || x.size(3) == 1 ? x : x.contiguous(); }

template <class T>
const void* row(const at::Tensor& x, T n, T head) {
  return static_cast<const char*>(x.const_data_ptr()) +
         (n * x.stride(0) + head * x.stride(2)) * x.element_size();
}

/// Memory at a multiple of 64, as at::empty gives it: nothing is written to it.
class Bytes {
 public:
  explicit Bytes(int64_t size) : tensor_(at::empty({size}, at::kByte)) {}
  char* at(int64_t offset) { return static_cast<char*>(tensor_.mutable_data_ptr()) + offset; }

 private:
  at::Tensor tensor_;
};

}  // namespace

at::Tensor attention_cpu(const cpu::Machine& machine, const at::Tensor& queries, const at::Tensor& keys,
                         const at::Tensor& values) {
  const at::Tensor q = by_rows(queries);
  const at::Tensor k = by_rows(keys);
  const at::Tensor v = by_rows(values);
  const int64_t heads = q.size(2);
  const int64_t head_dim = q.size(3);
  at::Tensor out = at::empty({q.size(0), q.size(1), heads * head_dim}, q.options());
  const cpu::AttentionKernel& kernel = cpu::kernels_for(machine, q.scalar_type()).attention;
  const auto head = [&](int64_t index) {
    const int64_t n = index / heads;
    const int64_t h = index % heads;
    char* to =
        static_cast<char*>(out.mutable_data_ptr()) + (n * out.stride(0) + h * head_dim) * out.element_size();
    return cpu::AttentionHead{
        row(q, n, h), row(k, n, h),  row(v, n, h),
        to,           q.stride(1),   k.stride(1),
        v.stride(1),  out.stride(1), q.size(1),
        k.size(1),    head_dim,      static_cast<float>(kLog2E / std::sqrt(static_cast<double>(head_dim)))};
  };

  const int64_t all_heads = q.size(0) * heads;
  const int64_t packed = kernel.packed_bytes(k.size(1), head_dim);
  Bytes packed_keys(all_heads * packed);
  Bytes packed_values(all_heads * packed);
  cpu::parallel(all_heads, k.size(1) * head_dim, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      kernel.pack(head(i), packed_keys.at(i * packed), packed_values.at(i * packed));
  });

  const int64_t blocks = (q.size(1) + kernel.queries - 1) / kernel.queries;
  cpu::parallel(all_heads * blocks, kernel.queries * k.size(1) * head_dim / kPerCycle,
                [&](int64_t first, int64_t last) {
                  Bytes scratch(kernel.scratch_bytes(head_dim));
                  for (int64_t i = first; i < last; ++i) {
                    const int64_t h = i / blocks;
                    kernel.attend(head(h), packed_keys.at(h * packed), packed_values.at(h * packed),
                                  i % blocks * kernel.queries, scratch.at(0));
                  }
                });
  return out;
}

}  // namespace brume::kernels

#include "kernels/attention.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <sstream>
#include <stdexcept>

#include "kernels/attention_cpu.h"
#include "kernels/cpu/machine_for.h"
#include "kernels/gpu/operations.h"

namespace brume::kernels {

namespace {

void check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const bool ranks = q.dim() == 4 && k.dim() == 4 && v.sizes() == k.sizes();
  const bool fits =
      ranks && q.size(0) == k.size(0) && q.size(2) == k.size(2) && q.size(3) == k.size(3) && k.size(1) > 0;
  if (!fits || q.scalar_type() != k.scalar_type() || q.scalar_type() != v.scalar_type()) {
    std::ostringstream text;
    text << "attention: q [N, Tq, heads, head_dim], k and v [N, Tk, heads, head_dim] expected, got "
         << q.sizes() << ", " << k.sizes() << ", " << v.sizes();
    throw std::invalid_argument(text.str());
  }
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, AttentionMask mask) {
  check(q, k, v);
  RECORD_FUNCTION("brume::attention", std::vector<c10::IValue>({q, k, v}));
  const bool causal = mask == AttentionMask::kCausal;
  if (q.is_cuda()) return gpu::attention(q, k, v, causal);
  if (!causal && cpu::has_kernels(q)) return attention_cpu(cpu::machine(), q, k, v);
  const at::Tensor heads =
      at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                       /*attn_mask=*/{}, /*dropout_p=*/0.0, causal);
  return heads.transpose(1, 2).reshape({q.size(0), q.size(1), q.size(2) * q.size(3)});
}

}  // namespace brume::kernels

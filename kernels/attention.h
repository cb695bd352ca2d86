#pragma once
#include <ATen/core/Tensor.h>

namespace brume::kernels {

enum class AttentionMask { kNone, kCausal };

/// softmax(q k^T / sqrt(head_dim)) v, each head apart ("Attention Is All You Need", section 3.2.1).
/// q [N, Tq, heads, head_dim], k and v [N, Tk, heads, head_dim], any strides with the last one 1, one dtype.
/// Gives [N, Tq, heads * head_dim], contiguous. kCausal: query i sees keys 0..i.
/// Throws std::invalid_argument where the shapes or dtypes do not fit.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     AttentionMask mask = AttentionMask::kNone);

}  // namespace brume::kernels

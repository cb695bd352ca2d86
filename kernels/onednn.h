#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

// oneDNN as libtorch carries it: its fused operations are reached through libtorch's dispatcher.
namespace brume::kernels::onednn {

/// Whether oneDNN computes with such weights on this processor: fp32, and bf16 from AVX-512 on.
bool can_pack(const at::Tensor& weight);

struct Geometry {
  int64_t stride;
  int64_t padding;
};

/// weight [out, in, k, k] -> the same in the layout that oneDNN wants for maps of `size` [N, in, H, W],
/// channels last, with as many threads as now.
at::Tensor pack_convolution(const at::Tensor& weight, const Geometry& geometry, at::IntArrayRef size);
/// The memory of packed weights.
std::span<const std::byte> packed_bytes(const at::Tensor& packed);
/// Whether two packed forms of the same weights are laid out alike.
bool equal_layout(const at::Tensor& one, const at::Tensor& other);
/// What is done with a result before it is written.
enum class Activation { kNone, kGelu, kRelu };
enum class Binary { kAdd, kMultiply };

/// x [N, in, H, W] channels last -> [N, out, H', W'] channels last. No GELU.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& packed, const std::optional<at::Tensor>& bias,
                       const Geometry& geometry, Activation activation);
/// sum = activation(sum + the convolution). No GELU.
void add_convolution(at::Tensor& sum, const at::Tensor& x, const at::Tensor& packed,
                     const std::optional<at::Tensor>& bias, const Geometry& geometry, Activation activation);

/// weight [out, in] -> the same in oneDNN's own layout.
at::Tensor pack_linear(const at::Tensor& weight);
/// x [..., in] -> [..., out]. No ReLU.
at::Tensor linear(const at::Tensor& x, const at::Tensor& packed, const std::optional<at::Tensor>& bias,
                  Activation activation);
/// The product with `other` [..., out] added, or multiplied in.
at::Tensor linear_with(const at::Tensor& x, const at::Tensor& other, const at::Tensor& packed,
                       const std::optional<at::Tensor>& bias, Binary binary);

}  // namespace brume::kernels::onednn

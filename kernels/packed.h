#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

#include "brume/base/placement.h"

namespace brume::kernels {

class ConvolutionLayouts;
namespace onednn {
enum class Activation;
}

/// A convolution's weights, laid out for the library that computes with them (oneDNN where it computes in
/// their dtype on this CPU, cuDNN on a GPU, else as they are). In both bias and sum are part of the product,
/// and the result is rounded once. With a HostCopy it keeps its weight as that gives it, and has it where it
/// computes only while it does: the same bits, in less memory and more time. So too for those below.
class PackedConvolution {
 public:
  struct Shape {
    int64_t stride;
    int64_t padding;
  };

  /// weight [out, in, k, k], bias [out] or none.
  PackedConvolution(const at::Tensor& weight, std::optional<at::Tensor> bias, Shape shape,
                    const HostCopy& host_copy = nullptr);
  /// [N, in, H, W] -> [N, out, H', W'], channels last.
  at::Tensor operator()(const at::Tensor& x) const;
  /// relu(y).
  at::Tensor relu(const at::Tensor& x) const;
  /// sum += this(x); sum [N, out, H', W'], channels last and contiguous. On a GPU `sum` is a new tensor then:
  /// what it was is left as it is (sums_in_place).
  void add_to(at::Tensor& sum, const at::Tensor& x) const;
  /// sum = relu(sum + this(x)).
  void add_relu_to(at::Tensor& sum, const at::Tensor& x) const;

 private:
  PackedConvolution beside(const at::Tensor& x) const;
  at::Tensor packed_product(const at::Tensor& x, onednn::Activation activation) const;
  void add_packed_product(at::Tensor& sum, const at::Tensor& x, onednn::Activation activation) const;
  at::Tensor plain_product(const at::Tensor& x) const;
  at::Tensor gpu_product(const at::Tensor& x, const std::optional<at::Tensor>& sum, bool relu) const;

  std::shared_ptr<ConvolutionLayouts> layouts_;  // or, where oneDNN does not compute,
  at::Tensor weight_;                            // [out, in, k, k]
  std::optional<at::Tensor> bias_;
  int64_t channels_;  // of the result
  Shape shape_;
  bool streamed_;  // weight_ is far away
};

/// Whether a convolution adds to a map like this one where it lies, so that who needs it later must copy it.
inline bool sums_in_place(const at::Tensor& map) { return !map.is_cuda(); }

/// The same for a matrix product y = x W^T + b.
class PackedLinear {
 public:
  /// weight [out, in], bias [out] or none.
  PackedLinear(const at::Tensor& weight, std::optional<at::Tensor> bias, const HostCopy& host_copy = nullptr);
  /// [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const;
  /// y + other. other [..., out]
  at::Tensor plus(const at::Tensor& x, const at::Tensor& other) const;
  /// gelu(y), by the error function.
  at::Tensor gelu(const at::Tensor& x) const;
  /// y * other. other [..., out]
  at::Tensor times(const at::Tensor& x, const at::Tensor& other) const;

 private:
  PackedLinear beside(const at::Tensor& x) const;

  at::Tensor weight_;  // packed, or [out, in]
  std::optional<at::Tensor> bias_;
  bool streamed_;  // weight_ is far away
};

/// A linear layer to twice the width, whose first half is multiplied by the GELU of its second: two products
/// that are one where they share their input's way through a GPU.
class PackedGatedLinear {
 public:
  /// weight [2 out, in], bias [2 out].
  PackedGatedLinear(const at::Tensor& weight, const at::Tensor& bias, const HostCopy& host_copy = nullptr);
  /// [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  std::optional<PackedLinear> both_;  // on a GPU; else
  std::optional<PackedLinear> value_;
  std::optional<PackedLinear> gate_;
};

}  // namespace brume::kernels

#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>

namespace brume::kernels {

class ConvolutionLayouts;
namespace onednn {
enum class Activation;
}

/// A convolution's weights, laid out for the library that computes with them (oneDNN where it computes in
/// their dtype on this CPU, else as they are) when the first map comes. In oneDNN bias and sum are part of
/// the product, and the result is rounded once.
class PackedConvolution {
 public:
  struct Shape {
    int64_t stride;
    int64_t padding;
  };

  /// weight [out, in, k, k], bias [out] or none.
  PackedConvolution(const at::Tensor& weight, std::optional<at::Tensor> bias, Shape shape);
  /// [N, in, H, W] -> [N, out, H', W'], channels last.
  at::Tensor operator()(const at::Tensor& x) const;
  /// relu(y).
  at::Tensor relu(const at::Tensor& x) const;
  /// sum += this(x); sum [N, out, H', W'], channels last and contiguous.
  void add_to(at::Tensor& sum, const at::Tensor& x) const;
  /// sum = relu(sum + this(x)).
  void add_relu_to(at::Tensor& sum, const at::Tensor& x) const;

 private:
  at::Tensor packed_product(const at::Tensor& x, onednn::Activation activation) const;
  void add_packed_product(at::Tensor& sum, const at::Tensor& x, onednn::Activation activation) const;
  at::Tensor plain_product(const at::Tensor& x) const;

  std::shared_ptr<ConvolutionLayouts> layouts_;  // or, where oneDNN does not compute,
  at::Tensor weight_;                            // [out, in, k, k]
  std::optional<at::Tensor> bias_;
  Shape shape_;
};

/// The same for a matrix product y = x W^T + b.
class PackedLinear {
 public:
  /// weight [out, in], bias [out] or none.
  PackedLinear(const at::Tensor& weight, std::optional<at::Tensor> bias);
  /// [..., in] -> [..., out]
  at::Tensor operator()(const at::Tensor& x) const;
  /// y + other. other [..., out]
  at::Tensor plus(const at::Tensor& x, const at::Tensor& other) const;
  /// gelu(y), by the error function.
  at::Tensor gelu(const at::Tensor& x) const;
  /// y * other. other [..., out]
  at::Tensor times(const at::Tensor& x, const at::Tensor& other) const;

 private:
  at::Tensor weight_;  // packed, or [out, in]
  std::optional<at::Tensor> bias_;
};

}  // namespace brume::kernels

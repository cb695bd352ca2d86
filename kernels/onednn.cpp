#include "kernels/onednn.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace brume::kernels::onednn {

namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;
using Bias = const std::optional<at::Tensor>&;

/// An operation of libtorch by its name, with the signature it is registered with.
template <class Signature>
auto find(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

constexpr std::array<int64_t, 2> kDilation{1, 1};

}  // namespace

bool can_pack(const at::Tensor& weight) {
  if (!weight.is_cpu() || !at::hasMKLDNN()) return false;
  if (weight.scalar_type() != at::kBFloat16) return weight.scalar_type() == at::kFloat;
  static const auto supported = find<bool()>("mkldnn::_is_mkldnn_bf16_supported");
  return supported.call();
}

at::Tensor pack_convolution(const at::Tensor& weight, const Geometry& geometry, at::IntArrayRef size) {
  using Signature = at::Tensor(const at::Tensor&, c10::SymIntArrayRef, c10::SymIntArrayRef,
                               c10::SymIntArrayRef, c10::SymInt, at::OptionalSymIntArrayRef);
  static const auto pack = find<Signature>("mkldnn::_reorder_convolution_weight");
  const std::array<c10::SymInt, 2> padding{geometry.padding, geometry.padding};
  const std::array<c10::SymInt, 2> stride{geometry.stride, geometry.stride};
  const std::array<c10::SymInt, 2> dilation{1, 1};
  const std::vector<c10::SymInt> map(size.begin(), size.end());
  return pack.call(weight.contiguous(), padding, stride, dilation, 1, c10::SymIntArrayRef(map));
}

std::span<const std::byte> packed_bytes(const at::Tensor& packed) {
  static const auto address = find<int64_t(const at::Tensor&)>("mkldnn::data_ptr");
  static const auto bytes = find<int64_t(const at::Tensor&)>("mkldnn::_nbytes");
  // NOLINTNEXTLINE(performance-no-int-to-ptr): libtorch tells the address as a number
  const auto* const first = reinterpret_cast<const std::byte*>(address.call(packed));
  return {first, static_cast<size_t>(bytes.call(packed))};
}

bool equal_layout(const at::Tensor& one, const at::Tensor& other) {
  const std::span<const std::byte> a = packed_bytes(one);
  const std::span<const std::byte> b = packed_bytes(other);
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& packed, Bias bias, const Geometry& geometry,
                       Activation activation) {
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, Bias, at::IntArrayRef, at::IntArrayRef,
                 at::IntArrayRef, int64_t, std::string_view, Scalars, std::optional<std::string_view>);
  static const auto convolve = find<Signature>("mkldnn::_convolution_pointwise");
  const std::array<int64_t, 2> padding{geometry.padding, geometry.padding};
  const std::array<int64_t, 2> stride{geometry.stride, geometry.stride};
  const char* const then = activation == Activation::kRelu ? "relu" : "none";
  return convolve.call(x, packed, bias, padding, stride, kDilation, 1, then, Scalars(), "");
}

void add_convolution(at::Tensor& sum, const at::Tensor& x, const at::Tensor& packed, Bias bias,
                     const Geometry& geometry, Activation activation) {
  using Signature =
      at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&, Bias, at::IntArrayRef, at::IntArrayRef,
                  at::IntArrayRef, int64_t, std::string_view, std::optional<at::Scalar>,
                  std::optional<std::string_view>, Scalars, std::optional<std::string_view>);
  static const auto convolve = find<Signature>("mkldnn::_convolution_pointwise_", "binary");
  const std::array<int64_t, 2> padding{geometry.padding, geometry.padding};
  const std::array<int64_t, 2> stride{geometry.stride, geometry.stride};
  const std::optional<std::string_view> then =
      activation == Activation::kRelu ? std::optional<std::string_view>("relu") : std::nullopt;
  convolve.call(sum, x, packed, bias, padding, stride, kDilation, 1, "add", 1.0, then, Scalars(),
                std::nullopt);
}

at::Tensor pack_linear(const at::Tensor& weight) {
  static const auto pack =
      find<at::Tensor(const at::Tensor&, std::optional<int64_t>)>("mkldnn::_reorder_linear_weight");
  return pack.call(weight.contiguous(), std::nullopt);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& packed, Bias bias, Activation activation) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, Bias, std::string_view, Scalars,
                               std::optional<std::string_view>);
  static const auto multiply = find<Signature>("mkldnn::_linear_pointwise");
  const bool gelu = activation == Activation::kGelu;
  return multiply.call(x, packed, bias, gelu ? "gelu" : "none", Scalars(), gelu ? "none" : "");
}

at::Tensor linear_with(const at::Tensor& x, const at::Tensor& other, const at::Tensor& packed, Bias bias,
                       Binary binary) {
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, Bias, std::string_view);
  static const auto multiply = find<Signature>("mkldnn::_linear_pointwise", "binary");
  return multiply.call(x, other, packed, bias, binary == Binary::kAdd ? "add" : "mul");
}

}  // namespace brume::kernels::onednn

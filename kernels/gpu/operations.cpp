#include "kernels/gpu/operations.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace brume::kernels::gpu {

namespace {

using OptionalTensor = std::optional<at::Tensor>;

OptionalTensor optional(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

template <class Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace

// The names are the dispatcher's, with one table a process; the plug-in adds to it.
// NOLINTNEXTLINE(cert-err58-cpp): the dispatcher takes its tables before main
TORCH_LIBRARY(brume, library) {
  library.def("attention(Tensor q, Tensor k, Tensor v, bool causal) -> Tensor");
  library.def(
      "group_norm(Tensor first, Tensor? second, Tensor? embedding, Tensor weight, Tensor bias, int groups, "
      "float eps, bool silu) -> Tensor");
  library.def("layer_norm(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor");
  library.def("geglu(Tensor x) -> Tensor");
  library.def(
      "sinusoidal_embedding(Tensor values, int width, bool cosine_first, float freq_shift) -> Tensor");
  library.def(
      "convolution(Tensor x, Tensor weight, Tensor? bias, Tensor? residual, int stride, int padding, "
      "bool relu) -> Tensor");
  library.def("linear(Tensor x, Tensor weight, Tensor? bias, Tensor? residual) -> Tensor");
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, bool);
  static const auto body = find<Signature>("brume::attention");
  return body.call(q, k, v, causal);
}

at::Tensor group_norm(const GroupNormInput& input, const at::Tensor& weight, const at::Tensor& bias,
                      const GroupNormSettings& settings) {
  using Signature = at::Tensor(const at::Tensor&, const OptionalTensor&, const OptionalTensor&,
                               const at::Tensor&, const at::Tensor&, int64_t, double, bool);
  static const auto body = find<Signature>("brume::group_norm");
  return body.call(input.maps.first, optional(input.maps.second), optional(input.embedding), weight, bias,
                   settings.groups, settings.eps, settings.activation == Activation::kSilu);
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, double);
  static const auto body = find<Signature>("brume::layer_norm");
  return body.call(x, weight, bias, eps);
}

at::Tensor geglu(const at::Tensor& x) {
  static const auto body = find<at::Tensor(const at::Tensor&)>("brume::geglu");
  return body.call(x);
}

at::Tensor sinusoidal_embedding(const at::Tensor& values, const SinusoidShape& shape) {
  static const auto body =
      find<at::Tensor(const at::Tensor&, int64_t, bool, double)>("brume::sinusoidal_embedding");
  return body.call(values, shape.width, shape.cosine_first, shape.freq_shift);
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                       const OptionalTensor& residual, const Convolution& convolution) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                               const OptionalTensor&, int64_t, int64_t, bool);
  static const auto body = find<Signature>("brume::convolution");
  return body.call(x, weight, bias, residual, convolution.stride, convolution.padding, convolution.relu);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                  const OptionalTensor& residual) {
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, const OptionalTensor&, const OptionalTensor&);
  static const auto body = find<Signature>("brume::linear");
  return body.call(x, weight, bias, residual);
}

}  // namespace brume::kernels::gpu

#include "brume/nn/linear.h"

#include <ATen/ATen.h>

#include <optional>
#include <utility>

namespace brume::nn {

namespace {

std::optional<at::Tensor> bias_of(const WeightsView& weights, int64_t out, Bias bias) {
  return bias == Bias::kYes ? std::optional(weights.tensor("bias", {out})) : std::nullopt;
}

}  // namespace

Linear::Linear(const WeightsView& weights, int64_t in, int64_t out, Bias bias)
    : product_(weights.tensor("weight", {out, in}), bias_of(weights, out, bias), weights.host_copy()) {}

Linear::Linear(kernels::PackedLinear product) : product_(std::move(product)) {}

Linear Linear::from_conv(const WeightsView& weights, int64_t in, int64_t out) {
  return Linear({weights.tensor("weight", {out, in, 1, 1}).view({out, in}), weights.tensor("bias", {out}),
                 weights.host_copy()});
}

Linear Linear::stacked(const WeightsView& weights, const std::vector<std::string_view>& names, int64_t in,
                       int64_t out, Bias bias) {
  std::vector<at::Tensor> parts;
  std::vector<at::Tensor> biases;
  for (const std::string_view name : names) {
    parts.push_back((weights / name).tensor("weight", {out, in}));
    if (bias == Bias::kYes) biases.push_back((weights / name).tensor("bias", {out}));
  }
  return Linear(
      {at::cat(parts), biases.empty() ? std::nullopt : std::optional(at::cat(biases)), weights.host_copy()});
}

GatedLinear::GatedLinear(const WeightsView& weights, int64_t in, int64_t out)
    : product_(weights.tensor("weight", {2 * out, in}), weights.tensor("bias", {2 * out}),
               weights.host_copy()) {}

}  // namespace brume::nn

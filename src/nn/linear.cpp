#include "brume/nn/linear.h"

#include <ATen/ATen.h>

#include <utility>

namespace brume::nn {

Linear::Linear(const WeightsView& weights, int64_t in, int64_t out, Bias bias)
    : weight_(weights.tensor("weight", {out, in})) {
  if (bias == Bias::kYes) bias_ = weights.tensor("bias", {out});
}

Linear::Linear(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}

Linear Linear::from_conv(const WeightsView& weights, int64_t in, int64_t out) {
  return Linear(weights.tensor("weight", {out, in, 1, 1}).view({out, in}), weights.tensor("bias", {out}));
}

at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight_, bias_); }

}  // namespace brume::nn

#include "brume/nn/norm.h"

namespace brume::nn {

LayerNorm::LayerNorm(const WeightsView& weights, int64_t width, double eps)
    : weight_(weights.tensor("weight", {width})), bias_(weights.tensor("bias", {width})), eps_(eps) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return kernels::layer_norm(x, weight_, bias_, eps_);
}

kernels::SumAndNorm LayerNorm::of_sum(const at::Tensor& x, const at::Tensor& residual) const {
  return kernels::layer_norm_of_sum(x, residual, weight_, bias_, eps_);
}

GroupNorm::GroupNorm(const WeightsView& weights, int64_t channels, const kernels::GroupNormSettings& settings)
    : weight_(weights.tensor("weight", {channels})),
      bias_(weights.tensor("bias", {channels})),
      settings_(settings) {}

at::Tensor GroupNorm::operator()(const at::Tensor& x) const {
  return kernels::group_norm(x, weight_, bias_, settings_);
}

}  // namespace brume::nn

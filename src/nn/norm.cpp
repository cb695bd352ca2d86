#include "brume/nn/norm.h"

namespace brume::nn {

LayerNorm::LayerNorm(const WeightsView& weights, int64_t width, double eps)
    : weight_(weights.tensor("weight", {width})), bias_(weights.tensor("bias", {width})), eps_(eps) {}

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  return kernels::layer_norm(x, weight_, bias_, eps_);
}

GroupNorm::GroupNorm(const WeightsView& weights, int64_t channels, const kernels::GroupNormSettings& settings)
    : weight_(weights.tensor("weight", {channels})),
      bias_(weights.tensor("bias", {channels})),
      settings_(settings) {}

at::Tensor GroupNorm::operator()(const kernels::MapParts& x) const { return (*this)(x, {}); }

at::Tensor GroupNorm::operator()(const kernels::MapParts& x, const at::Tensor& embedding) const {
  return kernels::group_norm({x, embedding}, weight_, bias_, settings_);
}

}  // namespace brume::nn

#include "plain_kernels.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

namespace brume::kernels {

at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           AttentionMask mask) {
  const auto by_head = [](const at::Tensor& x) {
    return x.to(at::kDouble).transpose(1, 2);
  };  // [N, heads, T, d]
  at::Tensor scores =
      at::matmul(by_head(q), by_head(k).transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  if (mask == AttentionMask::kCausal) {
    const at::Tensor later = at::ones({q.size(1), k.size(1)}, at::kBool).triu(1);
    scores = scores.masked_fill(later, -std::numeric_limits<double>::infinity());
  }
  return at::matmul(scores.softmax(-1), by_head(v)).transpose(1, 2).flatten(2);
}

at::Tensor plain_group_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            const GroupNormSettings& settings) {
  const at::Tensor groups = x.to(at::kDouble).reshape({x.size(0), settings.groups, -1});
  const at::Tensor mean = groups.mean(-1, true);
  const at::Tensor variance = (groups - mean).square().mean(-1, true);
  const at::Tensor normal = ((groups - mean) / (variance + settings.eps).sqrt()).view(x.sizes());
  const std::vector<int64_t> channel{1, x.size(1), 1, 1};
  const at::Tensor y = normal * weight.to(at::kDouble).view(channel) + bias.to(at::kDouble).view(channel);
  return settings.activation == Activation::kSilu ? y * y.sigmoid() : y;
}

at::Tensor plain_layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                            double eps) {
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor mean = wide.mean(-1, true);
  const at::Tensor variance = (wide - mean).square().mean(-1, true);
  return (wide - mean) / (variance + eps).sqrt() * weight.to(at::kDouble) + bias.to(at::kDouble);
}

}  // namespace brume::kernels

#include "brume/nn/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "kernels/attention.h"

namespace brume::nn {

namespace {

/// [N, T, count width] -> `count` tensors [N, T, heads, head_dim] that share its memory.
std::vector<at::Tensor> by_head(const at::Tensor& x, int64_t count, int64_t heads) {
  return x.view({x.size(0), x.size(1), count, heads, x.size(2) / count / heads}).unbind(2);
}

/// The attention of q, k and v [N, T, heads, head_dim], where some rows have v in its place: runs of rows
/// that are alike go through it together.
at::Tensor attention_but(const std::vector<bool>& lone, const std::vector<at::Tensor>& qkv) {
  std::vector<at::Tensor> runs;
  for (size_t first = 0; first < lone.size();) {
    size_t end = first + 1;
    while (end < lone.size() && lone[end] == lone[first]) ++end;
    const auto rows = [&](const at::Tensor& part) {
      return part.narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(end - first));
    };
    runs.push_back(lone[first] ? rows(qkv[2]).flatten(2)
                               : kernels::attention(rows(qkv[0]), rows(qkv[1]), rows(qkv[2])));
    first = end;
  }
  return at::cat(runs);
}

}  // namespace

SelfAttention::SelfAttention(const WeightsView& weights, int64_t width, int64_t heads, Bias qkv_bias)
    : heads_(heads),
      to_qkv_(Linear::stacked(weights, {"to_q", "to_k", "to_v"}, width, width, qkv_bias)),
      to_out_(weights / "to_out.0", width, width) {}

at::Tensor SelfAttention::plus(const at::Tensor& x, const at::Tensor& residual,
                               const std::vector<bool>& lone) const {
  const std::vector<at::Tensor> qkv = by_head(to_qkv_(x), 3, heads_);
  return to_out_.plus(lone.empty() ? kernels::attention(qkv[0], qkv[1], qkv[2]) : attention_but(lone, qkv),
                      residual);
}

LoneTokens::LoneTokens(std::vector<std::shared_ptr<const std::vector<bool>>> rows)
    : rows_(std::move(rows)),
      any_(std::any_of(rows_.begin(), rows_.end(), [](const auto& row) { return row != nullptr; })) {}

std::vector<bool> LoneTokens::next() {
  if (!any_) return {};
  const size_t layer = next_++;
  std::vector<bool> lone;
  lone.reserve(rows_.size());
  for (const auto& row : rows_) lone.push_back(row != nullptr && row->at(layer));
  return std::find(lone.begin(), lone.end(), true) == lone.end() ? std::vector<bool>() : lone;
}

CrossAttention::CrossAttention(const WeightsView& weights, const AttentionShape& shape)
    : heads_(shape.heads),
      to_q_(weights / "to_q", shape.width, shape.width, Bias::kNo),
      to_kv_(Linear::stacked(weights, {"to_k", "to_v"}, shape.context_width, shape.width, Bias::kNo)),
      to_out_(weights / "to_out.0", shape.width, shape.width) {}

at::Tensor CrossAttention::plus(const at::Tensor& x, const at::Tensor& prepared,
                                const at::Tensor& residual) const {
  const std::vector<at::Tensor> q = by_head(to_q_(x), 1, heads_);
  const std::vector<at::Tensor> kv = by_head(prepared, 2, heads_);
  return to_out_.plus(kernels::attention(q[0], kv[0], kv[1]), residual);
}

}  // namespace brume::nn

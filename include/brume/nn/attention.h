#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "brume/nn/linear.h"
#include "brume/weights/weights.h"

namespace brume::nn {

struct AttentionShape {
  int64_t width;          // of the queries and the result
  int64_t context_width;  // of the keys and values
  int64_t heads;          // divides width
};

/// Multi-head attention of `x` over itself. Mirrors diffusers.models.attention_processor.Attention (to_q,
/// to_k, to_v, to_out.0).
class SelfAttention {
 public:
  SelfAttention(const WeightsView& weights, int64_t width, int64_t heads, Bias qkv_bias = Bias::kNo);
  /// Attention of x, added to `residual`. Both [N, T, width] -> [N, T, width]. In rows that are `lone` each
  /// token sees itself alone; none: in no row.
  at::Tensor plus(const at::Tensor& x, const at::Tensor& residual, const std::vector<bool>& lone = {}) const;

 private:
  int64_t heads_;
  Linear to_qkv_;
  Linear to_out_;
};

/// Hands out what was prepared for the cross-attentions of a network, in the order in which it meets them.
class PreparedReader {
 public:
  explicit PreparedReader(const std::vector<at::Tensor>& prepared) : prepared_(prepared) {}
  const at::Tensor& next() { return prepared_.at(next_++); }

 private:
  const std::vector<at::Tensor>& prepared_;
  size_t next_ = 0;
};

/// Says of the self-attentions of a network, in the order in which it meets them, in which rows each token
/// sees itself alone (PAGIdentitySelfAttnProcessor2_0 of diffusers).
class LoneTokens {
 public:
  /// By row, the self-attentions; null: in none.
  explicit LoneTokens(std::vector<std::shared_ptr<const std::vector<bool>>> rows);
  /// By row; empty where there is none.
  std::vector<bool> next();

 private:
  std::vector<std::shared_ptr<const std::vector<bool>>> rows_;
  bool any_;
  size_t next_ = 0;
};

/// The same over the words of a prompt. Mirrors the same class.
class CrossAttention {
 public:
  CrossAttention(const WeightsView& weights, const AttentionShape& shape);
  /// Keys and values of the words, which are the same in every step: context [N, S, context_width] -> [N, S,
  /// 2 width]
  at::Tensor prepare(const at::Tensor& context) const { return to_kv_(context); }
  /// Attention of x [N, T, width] over the words prepared, added to `residual` [N, T, width].
  at::Tensor plus(const at::Tensor& x, const at::Tensor& prepared, const at::Tensor& residual) const;

 private:
  int64_t heads_;
  Linear to_q_;
  Linear to_kv_;
  Linear to_out_;
};

}  // namespace brume::nn

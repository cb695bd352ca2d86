#include "brume/text/clip_text_encoder.h"

#include <ATen/ATen.h>

#include "kernels/attention.h"

namespace brume {

namespace {

at::Tensor activate(const at::Tensor& x, TextActivation activation) {
  if (activation == TextActivation::kGelu) return at::gelu(x);
  return x * at::sigmoid(1.702 * x);
}

/// Checkpoints hold the tower below "text_model"; those without a projection may also hold it at the top.
WeightsView tower(const WeightsView& weights) {
  return weights.contains("embeddings.token_embedding.weight") ? weights : weights / "text_model";
}

}  // namespace

ClipTextLayer::ClipTextLayer(const WeightsView& weights, const ClipTextConfig& config)
    : heads_(config.heads),
      activation_(config.activation),
      norm1_(weights / "layer_norm1", config.width, config.norm_eps),
      q_(weights / "self_attn.q_proj", config.width, config.width),
      k_(weights / "self_attn.k_proj", config.width, config.width),
      v_(weights / "self_attn.v_proj", config.width, config.width),
      out_(weights / "self_attn.out_proj", config.width, config.width),
      norm2_(weights / "layer_norm2", config.width, config.norm_eps),
      fc1_(weights / "mlp.fc1", config.width, config.intermediate),
      fc2_(weights / "mlp.fc2", config.intermediate, config.width) {}

at::Tensor ClipTextLayer::operator()(const at::Tensor& x) const {
  const at::Tensor y = x + attend(norm1_(x));
  return y + fc2_(activate(fc1_(norm2_(y)), activation_));
}

at::Tensor ClipTextLayer::attend(const at::Tensor& x) const {
  const std::vector<int64_t> by_head{x.size(0), x.size(1), heads_, x.size(2) / heads_};
  return out_(kernels::attention(q_(x).view(by_head), k_(x).view(by_head), v_(x).view(by_head),
                                 kernels::AttentionMask::kCausal));
}

ClipTextEncoder::ClipTextEncoder(const WeightsView& weights, const ClipTextConfig& config)
    : config_(config),
      token_embedding_(
          tower(weights).tensor("embeddings.token_embedding.weight", {config.vocab_size, config.width})),
      position_embedding_(
          tower(weights).tensor("embeddings.position_embedding.weight", {config.max_tokens, config.width})),
      final_norm_(tower(weights) / "final_layer_norm", config.width, config.norm_eps) {
  const WeightsView layers = tower(weights) / "encoder.layers";
  for (int64_t i = 0; i < config.layers; ++i) layers_.emplace_back(layers / static_cast<size_t>(i), config);
  if (config.projection_width) {
    projection_.emplace(weights / "text_projection", config.width, *config.projection_width, nn::Bias::kNo);
  }
}

at::Tensor ClipTextEncoder::embed(const at::Tensor& ids, const ExtraVectors& extra) const {
  if (!extra.vectors.defined()) return at::embedding(token_embedding_, ids);
  const at::Tensor is_extra = ids.ge(extra.first_id);  // [N, T]
  const at::Tensor own = at::embedding(token_embedding_, ids.masked_fill(is_extra, 0));
  const at::Tensor others =
      at::embedding(extra.vectors.to(own.options()), (ids - extra.first_id).clamp_min(0));
  return at::where(is_extra.unsqueeze(-1), others, own);
}

TextStates ClipTextEncoder::operator()(const at::Tensor& words, const ExtraVectors& extra) const {
  const at::Tensor ids = words.to(token_embedding_.device());
  TextStates states;
  states.hidden.push_back(embed(ids, extra) + position_embedding_.narrow(0, 0, ids.size(1)));
  for (const ClipTextLayer& layer : layers_) states.hidden.push_back(layer(states.hidden.back()));
  const at::Tensor last = final_norm_(states.hidden.back());  // [N, T, D]
  // The end token is the one behind the words, whatever ids the extra vectors have.
  const at::Tensor known = extra.vectors.defined() ? ids.masked_fill(ids.ge(extra.first_id), 0) : ids;
  states.pooled = last.index({at::arange(ids.size(0), ids.options()), end_positions(known)});
  if (projection_) states.pooled = (*projection_)(states.pooled);
  return states;
}

at::Tensor ClipTextEncoder::end_positions(const at::Tensor& ids) const {
  // Old configs say 2 where the end token is the largest id of all (transformers PR 24773).
  constexpr int64_t kOldEndToken = 2;
  if (config_.end_token == kOldEndToken) return ids.argmax(-1);
  return ids.eq(config_.end_token).to(at::kInt).argmax(-1);
}

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "brume/nn/linear.h"
#include "brume/nn/norm.h"
#include "brume/text/clip_text_config.h"
#include "brume/weights/weights.h"

namespace brume {

/// What a text encoder says of a batch of token ids.
struct TextStates {
  std::vector<at::Tensor>
      hidden;         // [N, T, D]: the embeddings, then the result of every layer, before the final norm
  at::Tensor pooled;  // the end token after the final norm [N, D], projected [N, P] where there is one
};

/// Vectors beside those of the vocabulary (textual inversion).
struct ExtraVectors {
  int64_t first_id = 0;
  at::Tensor vectors = {};  // [K, D], for the ids from first_id on; undefined: none
};

/// One layer of the encoder. Mirrors transformers' CLIPEncoderLayer.
class ClipTextLayer {
 public:
  ClipTextLayer(const WeightsView& weights, const ClipTextConfig& config);
  /// [N, T, D] -> [N, T, D]; a token sees itself and those before it.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  at::Tensor attend(const at::Tensor& x) const;

  int64_t heads_;
  TextActivation activation_;
  nn::LayerNorm norm1_;
  nn::Linear q_;
  nn::Linear k_;
  nn::Linear v_;
  nn::Linear out_;
  nn::LayerNorm norm2_;
  nn::Linear fc1_;
  nn::Linear fc2_;
};

/// CLIP's text tower ("Learning Transferable Visual Models From Natural Language Supervision", Radford et al.
/// 2021). Mirrors transformers' CLIPTextModel and CLIPTextModelWithProjection.
class ClipTextEncoder {
 public:
  ClipTextEncoder(const WeightsView& weights, const ClipTextConfig& config);

  /// ids [N, T] int64, T at most max_tokens, every id below vocab_size, or one of `extra`.
  TextStates operator()(const at::Tensor& ids, const ExtraVectors& extra = {}) const;
  /// The norm after the last layer: final_norm(states.hidden.back()) is transformers' last_hidden_state.
  at::Tensor final_norm(const at::Tensor& hidden) const { return final_norm_(hidden); }
  const ClipTextConfig& config() const { return config_; }

 private:
  at::Tensor embed(const at::Tensor& ids, const ExtraVectors& extra) const;
  at::Tensor end_positions(const at::Tensor& ids) const;

  ClipTextConfig config_;
  at::Tensor token_embedding_;     // [vocab, D]
  at::Tensor position_embedding_;  // [max_tokens, D]
  std::vector<ClipTextLayer> layers_;
  nn::LayerNorm final_norm_;
  std::optional<nn::Linear> projection_;
};

}  // namespace brume

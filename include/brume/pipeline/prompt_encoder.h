#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/model_source.h"
#include "brume/pipeline/request.h"
#include "brume/text/clip_text_encoder.h"
#include "brume/text/tokenizer.h"

namespace brume {

/// The words of one prompt as the UNet reads them.
struct EncodedPrompt {
  at::Tensor context;  // [1, T, D]; SDXL: both encoders side by side
  at::Tensor pooled;   // [1, P], SDXL only
};

/// A tokenizer and the text encoder that reads its ids.
struct TextTower {
  Tokenizer tokenizer;
  ClipTextEncoder encoder;
};

/// Turns prompts into conditioning: one CLIP tower, or SDXL's two.
/// Mirrors encode_prompt of diffusers' StableDiffusionPipeline and StableDiffusionXLPipeline.
class PromptEncoder {
 public:
  /// Remarks (ignored keys, unused weights) are appended to `remarks`.
  PromptEncoder(const ModelSource& model, at::ScalarType dtype, std::vector<std::string>& remarks);

  /// `clip_skip` 1 is the model's own choice of layer, 2 the layer before. Throws kUsage where there is no
  /// such layer.
  EncodedPrompt encode(const std::string& prompt, int64_t clip_skip, Observer& observer) const;
  /// No negative prompt reads as zeros where the model wants them, else as "". Always from the model's own
  /// choice of layer: the reference skips none here.
  EncodedPrompt encode_negative(const std::optional<std::string>& prompt) const;
  /// Tokens of `prompt` that do not fit; the largest of all towers.
  int64_t tokens_cut(const std::string& prompt) const;
  int64_t context_width() const;
  std::optional<int64_t> pooled_width() const;

 private:
  ModelFamily family_;
  bool zero_empty_negative_;
  std::vector<TextTower> towers_;
};

}  // namespace brume

#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/embeddings.h"
#include "brume/pipeline/model_source.h"
#include "brume/pipeline/request.h"
#include "brume/text/clip_text_encoder.h"
#include "brume/text/prompt_plan.h"
#include "brume/text/token_chunks.h"
#include "brume/text/tokenizer.h"

namespace brume {

/// The words of one text as the UNet reads them.
struct EncodedPrompt {
  at::Tensor context;  // [1, T, D], T of all windows; SDXL: both encoders side by side
  at::Tensor pooled;   // [1, P] of the first window, SDXL only
};

/// What of a prompt is not read as it stands.
struct UnreadWords {
  int64_t tokens_cut = 0;            // the largest of all towers and texts
  std::vector<std::string> ignored;  // what does not say what it seems to, a line each
};

/// A tokenizer and the text encoder that reads its ids.
struct TextTower {
  Tokenizer tokenizer;
  ClipTextEncoder encoder;
};

/// Turns texts into conditioning: one CLIP tower, or SDXL's two, of which its refiner has the second.
/// Mirrors encode_prompt of diffusers' StableDiffusionPipeline and StableDiffusionXLPipeline, and for
/// emphasis and several windows A1111's sd_hijack_clip.py.
class PromptEncoder {
 public:
  /// Remarks (ignored keys, unused weights) are appended to `remarks`. `embeddings` may be null, and `loader`
  /// as Weights::view says.
  PromptEncoder(const ModelSource& model, std::shared_ptr<const Embeddings> embeddings,
                const Placement& placement, const std::shared_ptr<TensorLoader>& loader,
                std::vector<std::string>& remarks);

  /// A text of one moment. `clip_skip` 1 is the model's own choice of layer, 2 the layer before. Throws
  /// kUsage where there is no such layer.
  EncodedPrompt encode(const std::string& text, Compat compat, int64_t clip_skip, Observer& observer) const;
  /// Of a request without a negative prompt: zeros where the model wants them, else "".
  EncodedPrompt encode_nothing(Compat compat, int64_t clip_skip) const;
  /// Of all texts of a plan.
  UnreadWords unread(const PromptPlan& plan, Compat compat) const;
  int64_t context_width() const;
  std::optional<int64_t> pooled_width() const;

 private:
  std::vector<TokenChunks> windows(const std::string& text, Compat compat) const;
  const EmbeddingWords* words_of(size_t tower) const;
  ExtraVectors vectors_of(size_t tower) const;

  ModelFamily family_;
  bool zero_empty_negative_;
  std::vector<TextTower> towers_;
  std::shared_ptr<const Embeddings> embeddings_;
};

}  // namespace brume

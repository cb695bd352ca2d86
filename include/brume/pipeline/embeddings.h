#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "brume/pipeline/model_source.h"
#include "brume/pipeline/request.h"
#include "brume/text/embedding_words.h"
#include "brume/text/tokenizer.h"
#include "brume/weights/embedding_choice.h"

namespace brume {

/// An embedding that a prompt names.
struct UsedEmbedding {
  std::string name;
  std::string hash;  // SHA-256 of its file in hexadecimal digits
};

/// Textual-inversion embeddings for a model's text encoders.
class Embeddings {
 public:
  /// Reads those that were asked for by name, then those of a directory, of which the ones that do not fit
  /// are only remarked. Throws kModelInvalid naming file, key and widths, kUsage for a name that is given
  /// twice.
  Embeddings(const ModelSource& model, const std::vector<EmbeddingChoice>& asked,
             const std::vector<EmbeddingChoice>& found);

  /// Of text encoder `tower`, 0 or 1.
  const EmbeddingWords& words(size_t tower) const { return towers_[tower].words; }
  /// All vectors [K, D] fp32 in the order of their ids.
  const at::Tensor& vectors(size_t tower) const { return towers_[tower].vectors; }
  /// Those that its prompts name, in the order in which they were taken in.
  std::vector<UsedEmbedding> used_by(const Request& request) const;
  /// What was left out, a line a file.
  const std::vector<std::string>& remarks() const { return remarks_; }

 private:
  struct Tower {
    Tokenizer tokenizer;
    int64_t width;
    EmbeddingWords words;
    at::Tensor vectors;
    std::vector<at::Tensor> read;  // of each embedding, while they are taken in
  };
  void take(const EmbeddingChoice& choice);

  ModelFamily family_;
  std::vector<Tower> towers_;
  std::vector<EmbeddingName> names_;
  std::vector<std::string> hashes_;  // of each
  std::vector<std::string> remarks_;
};

}  // namespace brume

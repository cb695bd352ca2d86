#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "brume/text/tokenizer.h"

namespace brume {

/// A word that stands for vectors of a text encoder's own ("An Image is Worth One Word: Personalizing
/// Text-to-Image Generation using Textual Inversion", Gal et al. 2022).
struct EmbeddingName {
  std::string name;
  int64_t vectors = 1;  // each takes the place of a token
};

/// Finds such words among the tokens of a text, as A1111's EmbeddingDatabase does: where the tokens of a name
/// stand, the longest first, by itself or behind "embedding:" as ComfyUI has it. Each vector has an id of its
/// own behind the tokenizer's.
class EmbeddingWords {
 public:
  EmbeddingWords() = default;
  /// Of two of one name the first is found.
  EmbeddingWords(const Tokenizer& tokenizer, std::vector<EmbeddingName> names);

  struct Found {
    size_t name;    // of names()
    size_t tokens;  // that it is written with
  };
  /// The name that begins at `place` in `ids`.
  std::optional<Found> find(const std::vector<int64_t>& ids, size_t place) const;
  /// The ids of a name's vectors.
  std::vector<int64_t> ids_of(size_t name) const;
  /// A name and which of its vectors an id is; nothing for a token.
  std::optional<std::pair<size_t, int64_t>> vector_of(int64_t id) const;
  /// What "embedding:..." in a text names that is not there, in order.
  std::vector<std::string> unknown_in(std::string_view text) const;
  const std::vector<EmbeddingName>& names() const { return names_; }

 private:
  struct Spelling {
    std::vector<int64_t> ids;
    size_t name;
  };

  std::vector<EmbeddingName> names_;
  std::vector<int64_t> first_ids_;   // of each name
  std::vector<Spelling> spellings_;  // the longest first
};

}  // namespace brume

#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "brume/text/compat.h"
#include "brume/text/embedding_words.h"
#include "brume/text/tokenizer.h"

namespace brume {

/// Windows that one text may take: what is longer is cut.
inline constexpr size_t kMostChunks = 64;

/// What one window of the text encoder holds, its marks left out: at most max_length - 2 tokens.
struct TokenChunk {
  std::vector<int64_t> ids;
  std::vector<double> weights;  // one a token
};

struct TokenChunks {
  std::vector<TokenChunk> chunks;    // at least one
  std::vector<int64_t> cut;          // tokens that no window has room for
  std::vector<std::string> ignored;  // what does not say what it seems to, a line each
};

/// A text of one moment, its brackets read as `compat` reads them. As in A1111, a window that is full ends
/// behind its last comma, if that is among its last 20 tokens, and BREAK may leave a window empty; as in
/// stable-diffusion.cpp, windows are filled to the end and a BREAK where one ends is nothing; as in
/// diffusers, there is one window. Where `embeddings` has a name the ids of its vectors stand, all in one
/// window. Throws kInputInvalid where it is not UTF-8.
TokenChunks chunk_text(const Tokenizer& tokenizer, std::string_view text, Compat compat,
                       const EmbeddingWords* embeddings = nullptr);

/// [begin, ids..., end, pad...], max_length of them.
std::vector<int64_t> window_ids(const Tokenizer& tokenizer, const TokenChunk& chunk);
/// The weight of each, 1 for the marks and what pads.
std::vector<float> window_weights(const Tokenizer& tokenizer, const TokenChunk& chunk);

}  // namespace brume

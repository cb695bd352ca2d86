#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "brume/text/added_tokens.h"
#include "brume/text/byte_pair.h"
#include "brume/text/tokenizer_texts.h"

namespace brume {

/// What a tokenizer directory says, checked. Mirrors what transformers 5's CLIPTokenizer.from_pretrained
/// makes of it.
struct TokenizerFiles {
  BytePairModel::Vocabulary vocabulary;  // the model's own tokens, ids 0 to size - 1
  BytePairModel model;
  std::vector<AddedToken> added;  // in order; a later one replaces an earlier one with the same text
  int64_t begin = 0;
  int64_t end = 0;
  int64_t pad = 0;
  int64_t max_length = 77;
};

/// Reads tokenizer.json, or else vocab.json and merges.txt; and, where they are there, tokenizer_config.json,
/// special_tokens_map.json and added_tokens.json. Throws kModelInvalid naming the file and the key or line.
TokenizerFiles read_tokenizer(const TokenizerTexts& texts);

}  // namespace brume

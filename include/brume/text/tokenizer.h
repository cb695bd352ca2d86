#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "brume/text/added_tokens.h"
#include "brume/text/tokenizer_files.h"
#include "brume/text/tokenizer_texts.h"

namespace brume {

/// Words to ids: CLIP's tokenizer. Mirrors transformers' CLIPTokenizer, id for id.
class Tokenizer {
 public:
  /// Reads a diffusers tokenizer directory (tokenizer_files.h).
  static Tokenizer open(const std::filesystem::path& directory);
  /// Throws kModelInvalid as read_tokenizer does.
  explicit Tokenizer(const TokenizerTexts& texts);

  /// The ids of the whole text, without begin and end marks. Throws kInputInvalid if it is not UTF-8.
  std::vector<int64_t> encode(std::string_view utf8) const;

  struct Padded {
    std::vector<int64_t> ids;  // [begin, ids..., end, pad...], max_length() of them
    int64_t cut = 0;           // how many of the text's tokens did not fit
  };
  Padded encode_padded(std::string_view utf8) const;

  int64_t max_length() const { return max_length_; }
  int64_t begin_id() const { return begin_; }
  int64_t end_id() const { return end_; }
  int64_t pad_id() const { return pad_; }
  /// How many ids there are: every id is below this.
  int64_t size() const { return static_cast<int64_t>(texts_.size()); }

  /// The token as the vocabulary spells it, e.g. "photo</w>".
  const std::string& token(int64_t id) const;
  /// The text that the ids stand for; bytes that are not UTF-8 can come out of a cut in mid-letter.
  std::string decode(const std::vector<int64_t>& ids) const;

 private:
  explicit Tokenizer(TokenizerFiles files);
  void encode_normalized(std::string_view text, std::vector<int64_t>& out) const;

  BytePairModel model_;
  AddedTokens raw_tokens_;         // matched in the text as written
  AddedTokens normalized_tokens_;  // matched after normalisation
  std::vector<std::string> texts_;
  std::vector<bool> is_added_;
  int64_t begin_, end_, pad_, max_length_;
};

}  // namespace brume

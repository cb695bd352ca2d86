#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brume {

/// A token that is cut out of the text before the byte-pair model sees it.
struct AddedToken {
  std::string text;
  int64_t id = 0;
  bool strip_left = false;
  bool strip_right = false;
  /// Matched in the normalised text, else in the text as written.
  bool normalized = false;
};

/// Added tokens of one of the two kinds. Mirrors tokenizers' AddedVocabulary::find_matches.
class AddedTokens {
 public:
  /// A later token with the same text replaces an earlier one.
  void add(AddedToken token);

  /// Calls `on_text` for each stretch of `text` without an added token and `on_token` for each token, in
  /// order; the leftmost match wins, then the longest.
  void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
             const std::function<void(const AddedToken&)>& on_token) const;

 private:
  const AddedToken* match(std::string_view text) const;

  std::unordered_map<char, std::vector<AddedToken>> by_first_byte_;
};

}  // namespace brume

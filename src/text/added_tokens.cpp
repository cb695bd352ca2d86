#include "brume/text/added_tokens.h"

#include <algorithm>

#include "brume/text/unicode.h"

namespace brume {

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// Where the white space that ends `text` begins.
size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t start = end - 1;
    while (is_continuation(text[start])) --start;
    size_t at = start;
    if (char_class(next_code_point(text, at)) != CharClass::kSpace) break;
    end = start;
  }
  return end;
}

size_t leading_space(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size(); end = at) {
    if (char_class(next_code_point(text, at)) != CharClass::kSpace) break;
  }
  return end;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  std::vector<AddedToken>& bucket = by_first_byte_[token.text[0]];
  std::erase_if(bucket, [&](const AddedToken& other) { return other.text == token.text; });
  bucket.push_back(std::move(token));
  std::stable_sort(bucket.begin(), bucket.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.text.size() > b.text.size(); });
}

const AddedToken* AddedTokens::match(std::string_view text) const {
  const auto bucket = by_first_byte_.find(text[0]);
  if (bucket == by_first_byte_.end()) return nullptr;
  for (const AddedToken& token : bucket->second) {
    if (text.starts_with(token.text)) return &token;
  }
  return nullptr;
}

void AddedTokens::split(std::string_view text, const std::function<void(std::string_view)>& on_text,
                        const std::function<void(const AddedToken&)>& on_token) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = match(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t start = at;
    size_t stop = at + token->text.size();
    // The search goes on behind the token itself, not behind the space it takes along.
    at = stop;
    if (token->strip_left) start = std::max(done, trailing_space(text.substr(0, start)));
    if (token->strip_right) stop += leading_space(text.substr(stop));
    if (done < start) on_text(text.substr(done, start - done));
    on_token(*token);
    done = stop;
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace brume

#include "brume/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "brume/base/error.h"
#include "brume/text/unicode.h"
#include "spans.h"

namespace brume {

namespace {

constexpr std::string_view kMarks[] = {"<|startoftext|>", "<|endoftext|>"};
constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

/// The length of the run of `wanted` at the start of `text`.
size_t run_length(std::string_view text, CharClass wanted) {
  size_t end = 0;
  for (size_t at = 0; at < text.size(); end = at) {
    if (char_class(next_code_point(text, at)) != wanted) break;
  }
  return end;
}

/// The words of normalised text: CLIP's pattern (a mark, a contraction, letters, one number, others), then
/// GPT-2's on each, which only takes a mark apart again. A mark gets here only where it is not an added
/// token, e.g. in capitals.
template <class OnWord>
void split_words(std::string_view text, OnWord on_word) {
  while (!text.empty()) {
    size_t length = 0;
    for (std::string_view mark : kMarks) {
      if (!text.starts_with(mark)) continue;
      on_word(mark.substr(0, 2));
      on_word(mark.substr(2, mark.size() - 4));
      on_word(mark.substr(mark.size() - 2));
      length = mark.size();
    }
    if (length == 0) {
      for (std::string_view contraction : kContractions) {
        if (length == 0 && text.starts_with(contraction)) length = contraction.size();
      }
      if (length == 0) {
        size_t first = 0;
        const CharClass kind = char_class(next_code_point(text, first));
        length = kind == CharClass::kNumber ? first : run_length(text, kind);
        if (kind == CharClass::kSpace) {
          text.remove_prefix(length);
          continue;
        }
      }
      on_word(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
}

}  // namespace

Tokenizer Tokenizer::open(const std::filesystem::path& directory) {
  return Tokenizer(read_tokenizer_texts(directory));
}

Tokenizer::Tokenizer(const TokenizerTexts& texts) : Tokenizer(read_tokenizer(texts)) {}

Tokenizer::Tokenizer(TokenizerFiles files)
    : model_(std::move(files.model)),
      begin_(files.begin),
      end_(files.end),
      pad_(files.pad),
      max_length_(files.max_length) {
  size_t size = files.vocabulary.size();
  for (const AddedToken& token : files.added) size = std::max(size, static_cast<size_t>(token.id) + 1);
  texts_.resize(size);
  is_added_.resize(size);
  for (const auto& [text, id] : files.vocabulary) texts_[static_cast<size_t>(id)] = text;
  std::vector<const AddedToken*> last(size);
  for (const AddedToken& token : files.added) last[static_cast<size_t>(token.id)] = &token;
  for (const AddedToken* token : last) {
    if (token == nullptr) continue;
    const auto id = static_cast<size_t>(token->id);
    texts_[id] = token->text;
    is_added_[id] = true;
    AddedToken pattern = *token;
    if (pattern.normalized) pattern.text = normalize_prompt(pattern.text);
    AddedTokens& tokens = pattern.normalized ? normalized_tokens_ : raw_tokens_;
    tokens.add(std::move(pattern));
  }
}

void Tokenizer::encode_normalized(std::string_view text, std::vector<int64_t>& out) const {
  split_words(text, [&](std::string_view word) { model_.encode_word(word, out); });
}

std::vector<int64_t> Tokenizer::encode(std::string_view utf8) const {
  check_utf8(utf8);
  std::vector<int64_t> out;
  const auto take = [&](const AddedToken& token) { out.push_back(token.id); };
  raw_tokens_.split(
      utf8,
      [&](std::string_view raw) {
        normalized_tokens_.split(
            normalize_prompt(raw), [&](std::string_view text) { encode_normalized(text, out); }, take);
      },
      take);
  return out;
}

Tokenizer::Padded Tokenizer::encode_padded(std::string_view utf8) const {
  const std::vector<int64_t> ids = encode(utf8);
  const auto room = static_cast<size_t>(max_length_ - 2);
  const size_t kept = std::min(ids.size(), room);
  Padded padded{.ids = {begin_}, .cut = static_cast<int64_t>(ids.size() - kept)};
  padded.ids.insert(padded.ids.end(), ids.begin(), ids.begin() + static_cast<ptrdiff_t>(kept));
  padded.ids.push_back(end_);
  padded.ids.resize(static_cast<size_t>(max_length_), pad_);
  return padded;
}

const std::string& Tokenizer::token(int64_t id) const {
  if (id < 0 || id >= size()) {
    throw Error(ExitCode::kInputInvalid, "token " + std::to_string(id), "not in the vocabulary");
  }
  return texts_[static_cast<size_t>(id)];
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids) const {
  std::string out;
  for (const int64_t id : ids) {
    const std::string& text = token(id);
    out += is_added_[static_cast<size_t>(id)] ? text + " " : symbol_bytes(text);
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace brume

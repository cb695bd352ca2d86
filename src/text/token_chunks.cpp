#include "brume/text/token_chunks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "brume/text/prompt_syntax.h"
#include "spans.h"

namespace brume {

namespace {

constexpr size_t kCommaBacktrack = 20;  // A1111's comma_padding_backtrack

/// Fills window after window.
class Chunker {
 public:
  Chunker(const Tokenizer& tokenizer, Compat compat)
      : room_(static_cast<size_t>(tokenizer.max_length() - 2)), compat_(compat) {
    const std::vector<int64_t> comma = tokenizer.encode(",");
    if (comma.size() == 1 && compat == Compat::kA1111) comma_ = comma.front();
  }

  /// A token, or the vectors of an embedding, which stay together.
  void add(const std::vector<int64_t>& ids, double weight) {
    if (!result_.cut.empty()) {
      result_.cut.insert(result_.cut.end(), ids.begin(), ids.end());
      return;
    }
    if (ids.front() == comma_) {
      last_comma_ = now_.ids.size();
    } else if (full() && last_comma_ && now_.ids.size() - *last_comma_ <= kCommaBacktrack) {
      end_behind(*last_comma_ + 1);
    }
    if (now_.ids.size() + ids.size() > room_) end_chunk();
    if (result_.chunks.size() == most()) {
      result_.cut.insert(result_.cut.end(), ids.begin(), ids.end());
      return;
    }
    now_.ids.insert(now_.ids.end(), ids.begin(), ids.end());
    now_.weights.insert(now_.weights.end(), ids.size(), weight);
  }

  /// Tokens, some of which may write the names of embeddings.
  void add_all(const std::vector<int64_t>& ids, double weight, const EmbeddingWords* embeddings) {
    for (size_t i = 0; i < ids.size();) {
      const auto found = embeddings != nullptr ? embeddings->find(ids, i) : std::nullopt;
      add(found ? embeddings->ids_of(found->name) : std::vector<int64_t>{ids[i]}, weight);
      i += found ? found->tokens : 1;
    }
  }

  void take_break() {
    if (compat_ == Compat::kA1111 || !now_.ids.empty()) end_chunk();
  }

  TokenChunks finish() {
    const bool room = result_.chunks.size() < most();
    if (room && (!now_.ids.empty() || result_.chunks.empty())) end_chunk();
    if (!room) result_.cut.insert(result_.cut.begin(), now_.ids.begin(), now_.ids.end());
    return std::move(result_);
  }

 private:
  bool full() const { return now_.ids.size() == room_; }
  size_t most() const { return reads_emphasis(compat_) ? kMostChunks : 1; }

  void end_chunk() {
    if (result_.chunks.size() < most()) result_.chunks.push_back(std::exchange(now_, {}));
    last_comma_.reset();
  }

  /// What stands behind `length` tokens goes into the next window.
  void end_behind(size_t length) {
    TokenChunk rest;
    const auto split = static_cast<ptrdiff_t>(length);
    rest.ids.assign(now_.ids.begin() + split, now_.ids.end());
    rest.weights.assign(now_.weights.begin() + split, now_.weights.end());
    now_.ids.resize(length);
    now_.weights.resize(length);
    end_chunk();
    now_ = std::move(rest);
  }

  size_t room_;
  Compat compat_;
  std::optional<int64_t> comma_;
  TokenChunks result_;
  TokenChunk now_;
  std::optional<size_t> last_comma_;  // in now_
};

void append_unknown(const EmbeddingWords* embeddings, std::string_view text,
                    std::vector<std::string>& ignored) {
  const EmbeddingWords none;
  for (const std::string& name : (embeddings != nullptr ? *embeddings : none).unknown_in(text))
    ignored.push_back("embedding:" + name + " is no embedding that is there, and stays words");
}

}  // namespace

TokenChunks chunk_text(const Tokenizer& tokenizer, std::string_view text, Compat compat,
                       const EmbeddingWords* embeddings) {
  Chunker chunker(tokenizer, compat);
  if (!reads_emphasis(compat)) {
    chunker.add_all(tokenizer.encode(text), 1, embeddings);
    TokenChunks chunks = chunker.finish();
    append_unknown(embeddings, text, chunks.ignored);
    return chunks;
  }
  check_utf8(text);
  const ReadEmphasis read = read_emphasis(text);
  for (const PromptPiece& piece : read.pieces) {
    if (piece.kind == PromptPiece::Kind::kBreak) {
      chunker.take_break();
    } else {
      chunker.add_all(tokenizer.encode(piece.text), piece.weight, embeddings);
    }
  }
  TokenChunks chunks = chunker.finish();
  chunks.ignored = read.ignored;
  append_unknown(embeddings, text, chunks.ignored);
  return chunks;
}

std::vector<int64_t> window_ids(const Tokenizer& tokenizer, const TokenChunk& chunk) {
  const auto length = static_cast<size_t>(tokenizer.max_length());
  std::vector<int64_t> ids{tokenizer.begin_id()};
  ids.reserve(length);
  ids.insert(ids.end(), chunk.ids.begin(), chunk.ids.end());
  ids.push_back(tokenizer.end_id());
  ids.resize(length, tokenizer.pad_id());
  return ids;
}

std::vector<float> window_weights(const Tokenizer& tokenizer, const TokenChunk& chunk) {
  std::vector<float> weights(static_cast<size_t>(tokenizer.max_length()), 1);
  std::transform(chunk.weights.begin(), chunk.weights.end(), weights.begin() + 1,
                 [](double weight) { return static_cast<float>(weight); });
  return weights;
}

}  // namespace brume

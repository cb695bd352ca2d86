#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace brume {

/// Byte-level byte-pair encoding with "</w>" at a word's end. Mirrors tokenizers' BPE model.
class BytePairModel {
 public:
  using Vocabulary = std::unordered_map<std::string, int64_t>;

  /// An empty model; add the vocabulary, then the merges in order of rank.
  BytePairModel() = default;
  /// `unknown` is the id of a byte that the vocabulary lacks.
  BytePairModel(const Vocabulary& vocabulary, std::optional<int64_t> unknown);

  /// The pair's merged token must have id `merged`. A pair given twice counts with its last rank.
  void add_merge(int64_t left, int64_t right, int64_t merged);

  /// True if every byte has an id, at a word's end and before it.
  bool complete() const { return complete_; }

  /// Appends the ids of one word, in time n log n of its length.
  void encode_word(std::string_view bytes, std::vector<int64_t>& out) const;

 private:
  struct Merge {
    size_t rank;
    int64_t id;
  };

  std::array<int64_t, 256> inner_{};
  std::array<int64_t, 256> last_{};
  bool complete_ = false;
  size_t next_rank_ = 0;
  std::unordered_map<uint64_t, Merge> merges_;
};

/// The printable character, in UTF-8, that stands for `byte` in a byte-level vocabulary.
std::string byte_symbol(uint8_t byte);

/// The bytes that a vocabulary entry stands for, its "</w>" read as a space.
std::string symbol_bytes(std::string_view token);

}  // namespace brume

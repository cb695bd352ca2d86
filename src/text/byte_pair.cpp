#include "brume/text/byte_pair.h"

#include <queue>

#include "brume/text/unicode.h"

namespace brume {

namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

/// Printable bytes stand for themselves, the others for U+0100 onwards, in order (GPT-2's table).
std::array<char32_t, 256> byte_table() {
  std::array<char32_t, 256> table{};
  char32_t next = 256;
  for (char32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    table[b] = printable ? b : next++;
  }
  return table;
}

uint64_t pair_key(int64_t left, int64_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
}

struct Symbol {
  int64_t id;
  size_t previous, next;
  bool alive = true;
};

struct Candidate {
  size_t rank, at;
  int64_t id;
  /// Lowest rank first, then leftmost: the queue gives its greatest.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

}  // namespace

std::string byte_symbol(uint8_t byte) {
  static const std::array<char32_t, 256> kTable = byte_table();
  const char32_t c = kTable[byte];
  if (c < 0x80) return std::string(1, static_cast<char>(c));
  return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
}

std::string symbol_bytes(std::string_view token) {
  static const std::unordered_map<std::string, char> kBytes = [] {
    std::unordered_map<std::string, char> bytes;
    for (int b = 0; b < 256; ++b) bytes[byte_symbol(static_cast<uint8_t>(b))] = static_cast<char>(b);
    return bytes;
  }();
  constexpr std::string_view kEnd = "</w>";
  const bool ends_word = token.ends_with(kEnd);
  if (ends_word) token.remove_suffix(kEnd.size());
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const size_t start = at;
    next_code_point(token, at);
    const std::string symbol(token.substr(start, at - start));
    const auto found = kBytes.find(symbol);
    out += found == kBytes.end() ? symbol : std::string(1, found->second);
  }
  return ends_word ? out + " " : out;
}

BytePairModel::BytePairModel(const Vocabulary& vocabulary, std::optional<int64_t> unknown) : complete_(true) {
  const auto id_of = [&](const std::string& symbol) {
    const auto found = vocabulary.find(symbol);
    if (found != vocabulary.end()) return found->second;
    if (!unknown) complete_ = false;
    return unknown.value_or(0);
  };
  for (size_t b = 0; b < 256; ++b) {
    const std::string symbol = byte_symbol(static_cast<uint8_t>(b));
    inner_[b] = id_of(symbol);
    last_[b] = id_of(symbol + "</w>");
  }
}

void BytePairModel::add_merge(int64_t left, int64_t right, int64_t merged) {
  merges_[pair_key(left, right)] = {next_rank_++, merged};
}

void BytePairModel::encode_word(std::string_view bytes, std::vector<int64_t>& out) const {
  const size_t n = bytes.size();
  std::vector<Symbol> symbols(n);
  for (size_t i = 0; i < n; ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    symbols[i] = {i + 1 == n ? last_[byte] : inner_[byte], i == 0 ? kNone : i - 1,
                  i + 1 == n ? kNone : i + 1};
  }
  std::priority_queue<Candidate> queue;
  const auto offer = [&](size_t left, size_t right) {
    const auto found = merges_.find(pair_key(symbols[left].id, symbols[right].id));
    if (found != merges_.end()) queue.push({found->second.rank, left, found->second.id});
  };
  for (size_t i = 0; i + 1 < n; ++i) offer(i, i + 1);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.at];
    if (!left.alive || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    // A candidate is stale if its pair no longer makes the same token; the reference compares no more.
    const auto found = merges_.find(pair_key(left.id, right.id));
    if (found == merges_.end() || found->second.id != top.id) continue;
    left.id = top.id;
    left.next = right.next;
    right.alive = false;
    if (left.next != kNone) symbols[left.next].previous = top.at;
    if (left.previous != kNone) offer(left.previous, top.at);
    if (left.next != kNone) offer(top.at, left.next);
  }
  for (size_t i = 0; i != kNone && i < n; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace brume

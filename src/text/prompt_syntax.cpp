#include "brume/text/prompt_syntax.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "spans.h"

namespace brume {

namespace {

constexpr double kRound = 1.1;
constexpr double kSquare = 1 / 1.1;
constexpr std::string_view kSpecial = "\\()[]:";
constexpr std::string_view kBreak = "BREAK";
constexpr std::string_view kAnd = "AND";
constexpr std::string_view kNumberLetters = ".0123456789";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// All of `text`, which has digits and points and perhaps a sign, as a number.
/// Of a weight; nothing beyond what any model can make sense of.
std::optional<double> number_of(std::string_view text) {
  constexpr double kMostWeight = 1e6;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (failed != std::errc{} || stop != end || std::abs(value) > kMostWeight) return std::nullopt;
  return value;
}

/// ": 1.3 )" at the start of a text.
struct WeightToken {
  size_t length;
  std::string_view number;
};

std::optional<WeightToken> weight_token(std::string_view text) {
  std::string_view rest = trimmed_left(text.substr(1));
  const size_t begin = text.size() - rest.size();
  size_t digits = rest.starts_with('+') || rest.starts_with('-') ? 1 : 0;
  const size_t sign = digits;
  digits = std::min(rest.find_first_not_of(kNumberLetters, digits), rest.size());
  if (digits == sign) return std::nullopt;
  rest = trimmed_left(rest.substr(digits));
  if (!rest.starts_with(')')) return std::nullopt;
  return WeightToken{text.size() - rest.size() + 1, text.substr(begin, digits)};
}

/// Walks over the text once; a bracket that closes multiplies the weights of the pieces since it opened.
class EmphasisReader {
 public:
  explicit EmphasisReader(std::string_view text) : text_(text) {}

  ReadEmphasis read() {
    while (at_ < text_.size()) take_token();
    end_brackets(rounds_, kRound);
    end_brackets(squares_, kSquare);
    if (result_.pieces.empty()) add({});
    merge();
    return std::move(result_);
  }

 private:
  struct Bracket {
    size_t piece;  // the first within it
    size_t at;     // in the text
  };

  void take_token() {
    const char c = text_[at_];
    if (c == '\\') {
      take_backslash();
    } else if (c == '(') {
      open(rounds_);
    } else if (c == '[') {
      open(squares_);
    } else if (c == ':') {
      take_colon();
    } else if (c == ')' || c == ']') {
      close(c == ')' ? rounds_ : squares_, c == ')' ? kRound : kSquare, text_.substr(at_, 1));
    } else {
      const size_t end = std::min(text_.find_first_of(kSpecial, at_), text_.size());
      add_words(text_.substr(at_, end - at_));
      at_ = end;
    }
  }

  void take_backslash() {
    const bool escapes = at_ + 1 < text_.size() && text_[at_ + 1] != ':' &&
                         kSpecial.find(text_[at_ + 1]) != std::string_view::npos;
    add(escapes ? text_.substr(at_ + 1, 1) : std::string_view());
    at_ += escapes ? 2 : 1;
  }

  void take_colon() {
    const std::optional<WeightToken> token = weight_token(text_.substr(at_));
    const std::optional<double> weight = token ? number_of(token->number) : std::nullopt;
    if (weight) {
      close(rounds_, *weight, text_.substr(at_, token->length));
      return;
    }
    if (token) result_.ignored.push_back(excerpt(token->number) + " is no weight");
    add(text_.substr(at_, 1));
    ++at_;
  }

  void open(std::vector<Bracket>& brackets) {
    if (rounds_.size() + squares_.size() == kMostBrackets) {
      throw Error(ExitCode::kInputInvalid, "prompt",
                  "more than " + std::to_string(kMostBrackets) + " brackets are open at " +
                      excerpt(text_.substr(at_)),
                  "close some, or write \\( for the letter");
    }
    brackets.push_back({result_.pieces.size(), at_});
    ++at_;
  }

  /// `token` closes the last of `brackets`; where none is open it is text.
  void close(std::vector<Bracket>& brackets, double multiplier, std::string_view token) {
    if (brackets.empty()) {
      result_.ignored.push_back(excerpt(token) + " closes nothing");
      add(token);
    } else {
      multiply(brackets.back().piece, multiplier);
      brackets.pop_back();
    }
    at_ += token.size();
  }

  void end_brackets(const std::vector<Bracket>& brackets, double multiplier) {
    for (const Bracket& bracket : brackets) {
      result_.ignored.push_back(excerpt(text_.substr(bracket.at)) + " is never closed");
      multiply(bracket.piece, multiplier);
    }
  }

  void multiply(size_t first, double multiplier) {
    for (size_t i = first; i < result_.pieces.size(); ++i) result_.pieces[i].weight *= multiplier;
  }

  void add(std::string_view text) { result_.pieces.push_back({PromptPiece::Kind::kText, std::string(text)}); }

  /// Text without brackets, which may hold BREAKs.
  void add_words(std::string_view words) {
    for (size_t at = find_word(words, kBreak); at != std::string_view::npos; at = find_word(words, kBreak)) {
      add(trimmed_right(words.substr(0, at)));
      result_.pieces.push_back({PromptPiece::Kind::kBreak});
      words = trimmed_left(words.substr(at + kBreak.size()));
    }
    add(words);
  }

  void merge() {
    std::vector<PromptPiece> merged;
    for (PromptPiece& piece : result_.pieces) {
      const bool joins = !merged.empty() && piece.kind == PromptPiece::Kind::kText &&
                         merged.back().kind == PromptPiece::Kind::kText &&
                         merged.back().weight == piece.weight;
      if (joins) {
        merged.back().text += piece.text;
      } else {
        merged.push_back(std::move(piece));
      }
    }
    result_.pieces = std::move(merged);
  }

  std::string_view text_;
  size_t at_ = 0;
  ReadEmphasis result_;
  std::vector<Bracket> rounds_;
  std::vector<Bracket> squares_;
};

/// Digits with a point among or behind them, and perhaps a sign: "1", "1.", "-.5".
bool is_part_weight(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (text.empty() || text.find_first_not_of(kNumberLetters) != std::string_view::npos) return false;
  const size_t point = text.find('.');
  const bool one_point = point == text.rfind('.');
  return one_point && (is_digit(text.front()) || (point == 0 && text.size() > 1));
}

PromptPart part_of(std::string_view text) {
  text = trimmed_right(text);
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    const std::string_view number = trimmed_left(text.substr(colon + 1));
    const std::optional<double> weight = is_part_weight(number) ? number_of(number) : std::nullopt;
    if (weight) return {std::string(trimmed_right(text.substr(0, colon))), *weight};
  }
  return {std::string(text), 1};
}

}  // namespace

ReadEmphasis read_emphasis(std::string_view text) { return EmphasisReader(text).read(); }

std::vector<PromptPart> read_parts(std::string_view text) {
  size_t at = find_word(text, kAnd);
  if (at == std::string_view::npos) return {{std::string(text), 1}};
  std::vector<PromptPart> parts;
  for (; at != std::string_view::npos; at = find_word(text, kAnd)) {
    parts.push_back(part_of(text.substr(0, at)));
    text.remove_prefix(at + kAnd.size());
    if (parts.size() == kMostParts) {
      throw Error(ExitCode::kInputInvalid, "prompt",
                  "AND joins more than " + std::to_string(kMostParts) + " parts",
                  "leave some out; each is drawn in every step");
    }
  }
  parts.push_back(part_of(text));
  return parts;
}

}  // namespace brume

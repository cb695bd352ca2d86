#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

// What people write into prompts, as A1111's prompt_parser.py reads it. All of it takes well-formed UTF-8
// from anybody: time and memory are linear in the text.

/// Brackets that may be open at a time.
inline constexpr size_t kMostBrackets = 256;
/// Parts that AND may join: each costs a row of the UNet in every step.
inline constexpr size_t kMostParts = 32;

/// Words of one weight, or the place where a window ends early.
struct PromptPiece {
  enum class Kind { kText, kBreak };
  Kind kind = Kind::kText;
  std::string text = {};
  double weight = 1;
};

struct ReadEmphasis {
  std::vector<PromptPiece> pieces;   // at least one
  std::vector<std::string> ignored;  // what does not say what it seems to, a line each
};

/// "a (big:1.3) [red] fox": 1.1 for each ( ), 1 / 1.1 for each [ ], the number of (x:1.3); \( \) \[ \] \\ are
/// the letters themselves, another backslash is nothing; BREAK ends a window, within brackets too. A bracket
/// that is never closed holds to the end. Neighbours of one weight are one piece. Throws kInputInvalid for
/// brackets deeper than kMostBrackets. Mirrors parse_prompt_attention.
ReadEmphasis read_emphasis(std::string_view text);

/// One of several prompts that a picture follows at a time.
struct PromptPart {
  std::string text;
  double weight = 1;
};

/// "a fox AND snow :0.8". A number behind a colon is the weight of a part only where there is an AND: a lone
/// prompt may end with "16:9". Throws kInputInvalid for more than kMostParts. Mirrors
/// get_multicond_prompt_list.
std::vector<PromptPart> read_parts(std::string_view text);

}  // namespace brume

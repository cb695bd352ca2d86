#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

/// Texts that one prompt may change into: each is encoded.
inline constexpr size_t kMostTexts = 256;

/// What a prompt says up to a step.
struct ScheduledText {
  int64_t last;  // as A1111 counts: the text is read in steps 0 to `last`
  std::string text;
};

struct PromptSchedule {
  std::vector<ScheduledText> texts;  // at least one, in order
  std::vector<std::string> ignored;  // what does not say what it seems to, a line each
};

/// "a [cat:dog:0.5]", "[fog:10]", "[fog::10]", "[a|b]", one within another: the texts of a walk of `steps`. A
/// number with a point is a share of the steps, another a step; [a|b] changes with every step. Brackets of
/// any other kind, and ( ), stay as they are, for read_emphasis. As in A1111, where [a:b:N] is read in the
/// steps 0 to N, there is one step of `a` more than N says, and a | that is in no [a|b] makes all of it plain
/// text. Throws kInputInvalid for brackets deeper than kMostBrackets and more than kMostTexts. Mirrors
/// get_learned_conditioning_prompt_schedules.
PromptSchedule read_schedule(std::string_view text, int64_t steps);

}  // namespace brume

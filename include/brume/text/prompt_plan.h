#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "brume/text/compat.h"

namespace brume {

/// The negative prompt has no AND.
enum class PromptRole { kPrompt, kNegative };

/// From where the one before it ends, one of the plan's texts is read in the steps up to `last`.
struct PlannedText {
  int64_t last;
  size_t text;
};

/// What one row of the UNet follows.
struct PlannedPart {
  double weight = 1;
  std::vector<PlannedText> times;  // at least one, in order

  /// Of the text that is read in `step`, from 0.
  size_t text_in(int64_t step) const;
};

/// A prompt without choices, read for a walk of steps.
struct PromptPlan {
  std::vector<std::string> texts;    // each once
  std::vector<PlannedPart> parts;    // at least one
  std::vector<std::string> ignored;  // what does not say what it seems to, a line each
};

/// How many parts a plan of `text` would have; 1 for what plan_prompt refuses.
size_t count_parts(std::string_view text, Compat compat);

/// Throws kInputInvalid for what is not UTF-8, and beyond the limits of read_parts and read_schedule.
PromptPlan plan_prompt(std::string_view text, Compat compat, int64_t steps, PromptRole role);

}  // namespace brume

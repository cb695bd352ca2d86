#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "brume/text/prompt_choices.h"

namespace brume {

/// A prompt after its choices were made.
struct ChosenPrompt {
  std::string words;                 // without adapters' tags
  std::string tagged;                // with them
  std::vector<std::string> unknown;  // as ChosenText has them
};

/// choose_text for a prompt that may have adapters' tags. Adapters are merged before pictures are drawn, and
/// a choice may not decide of them: throws kInputInvalid for a tag in a choice, or in a line of a wildcard.
ChosenPrompt choose_tagged_text(const std::string& prompt, uint64_t seed, const Wildcards& wildcards);

}  // namespace brume

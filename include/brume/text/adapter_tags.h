#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "brume/weights/adapters/adapter_choice.h"

namespace brume {

/// "<lora:name:0.8>" in a prompt.
struct AdapterTag {
  std::string name;
  AdapterStrength strength;
};

/// A prompt without its tags, and these in order.
struct TaggedPrompt {
  std::string words;
  std::vector<AdapterTag> tags;
  std::vector<size_t> places = {};  // of each in the words
};

/// Takes "<lora:NAME>" and "<lora:NAME:STRENGTH>" out of a prompt, as A1111 does; "<lyco:" is the same. A
/// strength as adapter_strength reads it. Throws kInputInvalid for a tag that has no end, no name or no
/// strength that can be read.
TaggedPrompt split_adapter_tags(const std::string& prompt);

/// The tags, written one way: equal for prompts that ask for the same.
std::string tags_text(const std::vector<AdapterTag>& tags);

/// The file that a tag names: NAME.safetensors in `directory`. Throws kInputInvalid for a name that is not
/// that of a file in there.
AdapterChoice tagged_adapter(const AdapterTag& tag, const std::filesystem::path& directory);

}  // namespace brume

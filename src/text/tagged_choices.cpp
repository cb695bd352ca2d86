#include "brume/text/tagged_choices.h"

#include <cstddef>
#include <string_view>
#include <utility>

#include "brume/base/error.h"
#include "brume/text/adapter_tags.h"

namespace brume {

namespace {

constexpr std::string_view kTag("\0", 1);  // which no prompt holds: where an adapter's tag was

}  // namespace

ChosenPrompt choose_tagged_text(const std::string& prompt, uint64_t seed, const Wildcards& wildcards) {
  TaggedPrompt split = split_adapter_tags(prompt);
  for (size_t i = split.places.size(); i-- > 0;) split.words.insert(split.places[i], kTag);
  ChosenText chosen = choose_text(split.words, seed, /*stream=*/0, wildcards);
  ChosenPrompt result{{}, chosen.text, std::move(chosen.unknown)};
  size_t tags = 0;
  for (size_t at = result.tagged.find(kTag); at != std::string::npos && tags < split.tags.size();
       at = result.tagged.find(kTag, at))
    result.tagged.replace(at, kTag.size(), tags_text({split.tags[tags++]}));
  std::erase(chosen.text, kTag.front());
  if (tags != split.tags.size() || !split_adapter_tags(chosen.text).tags.empty()) {
    throw Error(ExitCode::kInputInvalid, "prompt", "has <lora:...> in a choice, or in a line of a wildcard",
                "write it outside of these");
  }
  result.words = std::move(chosen.text);
  return result;
}

}  // namespace brume

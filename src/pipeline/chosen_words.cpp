#include "brume/pipeline/chosen_words.h"

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "brume/base/error.h"
#include "brume/text/adapter_tags.h"

namespace brume {

bool has_choices(const Request& request) {
  if (!reads_choices(request.reading.compat)) return false;
  return has_choices(request.prompt) || (request.negative_prompt && has_choices(*request.negative_prompt));
}

namespace {

constexpr std::string_view kTag("\0", 1);  // which no prompt holds: where an adapter's tag was

/// The prompt with a mark for each tag.
std::string marked_prompt(const PromptAdapters& adapters) {
  TaggedPrompt split = split_adapter_tags(adapters.text);
  for (size_t i = split.places.size(); i-- > 0;) split.words.insert(split.places[i], kTag);
  return std::move(split.words);
}

/// Makes the choices of a prompt; names in it that are no wildcards are returned. Adapters are merged before
/// pictures are drawn: a choice may not decide of them.
std::vector<std::string> choose_prompt(Request& request, uint64_t seed, const Wildcards& wildcards) {
  const std::string typed = request.adapters ? marked_prompt(*request.adapters) : request.prompt;
  ChosenText chosen = choose_text(typed, seed, /*stream=*/0, wildcards);
  std::string tagged = chosen.text;
  size_t tags = 0;
  const size_t typed_tags = request.adapters ? request.adapters->tags.size() : 0;
  for (size_t at = tagged.find(kTag); at != std::string::npos && tags < typed_tags;
       at = tagged.find(kTag, at))
    tagged.replace(at, kTag.size(), tags_text({request.adapters->tags[tags++]}));
  std::erase(chosen.text, kTag.front());
  if (tags == typed_tags && split_adapter_tags(chosen.text).tags.empty()) {
    request.prompt = std::move(chosen.text);
    if (request.adapters) request.adapters->chosen = std::move(tagged);
    return std::move(chosen.unknown);
  }
  throw Error(ExitCode::kInputInvalid, "prompt", "has <lora:...> in a choice, or in a line of a wildcard",
              "write it outside of these");
}

}  // namespace

std::vector<std::string> make_choices(Request& request, uint64_t seed, const Wildcards& wildcards) {
  if (!has_choices(request)) return {};
  TypedPrompts typed{request.prompt, request.negative_prompt};
  std::vector<std::string> unknown = choose_prompt(request, seed, wildcards);
  if (request.negative_prompt) {
    ChosenText negative = choose_text(*request.negative_prompt, seed, /*stream=*/1, wildcards);
    request.negative_prompt = std::move(negative.text);
    unknown.insert(unknown.end(), negative.unknown.begin(), negative.unknown.end());
  }
  if (request.prompt != typed.prompt || request.negative_prompt != typed.negative_prompt)
    request.typed = std::move(typed);
  if (!unknown.empty() && request.reading.unread == Unread::kRefuse) {
    throw Error(ExitCode::kInputInvalid, "prompt: __" + unknown.front() + "__", "no wildcards are given",
                "name their directory with --wildcards, or leave --strict out");
  }
  return unknown;
}

}  // namespace brume

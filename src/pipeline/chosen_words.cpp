#include "brume/pipeline/chosen_words.h"

#include <utility>

#include "brume/base/error.h"
#include "brume/text/adapter_tags.h"

namespace brume {

bool has_choices(const Request& request) {
  if (!reads_choices(request.reading.compat)) return false;
  return has_choices(request.prompt) || (request.negative_prompt && has_choices(*request.negative_prompt));
}

namespace {

/// Adapters are merged before pictures are drawn: a choice may not decide of them.
void check_adapters(const Request& request, uint64_t seed, const Wildcards& wildcards) {
  const std::string& typed = request.adapters ? request.adapters->text : request.prompt;
  const std::string chosen = choose_text(typed, seed, /*stream=*/0, wildcards).text;
  const std::string tags = tags_text(split_adapter_tags(chosen).tags);
  if (tags == (request.adapters ? request.adapters->adapters : "")) return;
  throw Error(ExitCode::kInputInvalid, "prompt", "has <lora:...> in a choice, or in a line of a wildcard",
              "write it outside of these");
}

}  // namespace

std::vector<std::string> make_choices(Request& request, uint64_t seed, const Wildcards& wildcards) {
  if (!has_choices(request)) return {};
  check_adapters(request, seed, wildcards);
  TypedPrompts typed{request.prompt, request.negative_prompt};
  ChosenText chosen = choose_text(request.prompt, seed, /*stream=*/0, wildcards);
  std::vector<std::string> unknown = std::move(chosen.unknown);
  request.prompt = std::move(chosen.text);
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

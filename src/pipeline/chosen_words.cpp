#include "brume/pipeline/chosen_words.h"

#include <utility>
#include <vector>

#include "brume/base/error.h"
#include "brume/text/tagged_choices.h"

namespace brume {

bool has_choices(const Request& request) {
  if (!reads_choices(request.reading.compat)) return false;
  return has_choices(request.prompt) || (request.negative_prompt && has_choices(*request.negative_prompt));
}

namespace {

/// Makes the choices of a prompt; names in it that are no wildcards are returned.
std::vector<std::string> choose_prompt(Request& request, uint64_t seed, const Wildcards& wildcards) {
  const std::string& typed = request.adapters ? request.adapters->text : request.prompt;
  ChosenPrompt chosen = choose_tagged_text(typed, seed, wildcards);
  request.prompt = std::move(chosen.words);
  if (request.adapters) request.adapters->chosen = std::move(chosen.tagged);
  return std::move(chosen.unknown);
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

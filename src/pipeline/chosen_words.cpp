#include "brume/pipeline/chosen_words.h"

#include <utility>

#include "brume/base/error.h"

namespace brume {

bool has_choices(const Request& request) {
  if (!reads_choices(request.reading.compat)) return false;
  return has_choices(request.prompt) || (request.negative_prompt && has_choices(*request.negative_prompt));
}

std::vector<std::string> make_choices(Request& request, uint64_t seed, const Wildcards& wildcards) {
  if (!has_choices(request)) return {};
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

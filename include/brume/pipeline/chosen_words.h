#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "brume/pipeline/request.h"
#include "brume/text/prompt_choices.h"

namespace brume {

/// Makes the choices of {a|b} and __name__ in both prompts of a request for the picture of this seed, so that
/// a seed always chooses the same, whatever its neighbours. Where any was made, request.typed keeps what was
/// typed. Gives the names of wildcards that have no source and stay words; throws kInputInvalid for them
/// where the request refuses unread words, and for what choose_text refuses.
std::vector<std::string> make_choices(Request& request, uint64_t seed, const Wildcards& wildcards);

/// Whether the prompts of a request could differ from seed to seed.
bool has_choices(const Request& request);

}  // namespace brume

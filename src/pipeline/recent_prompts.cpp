#include "brume/pipeline/recent_prompts.h"

#include <algorithm>

namespace brume {

EncodedPrompt RecentPrompts::encoded(const Key& key, const std::function<EncodedPrompt()>& encode) {
  const auto known = std::find_if(last_.begin(), last_.end(), [&](const One& one) { return one.key == key; });
  if (known != last_.end()) {
    last_.splice(last_.begin(), last_, known);
    return known->prompt;
  }
  EncodedPrompt prompt = encode();
  last_.push_front({key, prompt});
  if (last_.size() > most_) last_.pop_back();
  return prompt;
}

}  // namespace brume

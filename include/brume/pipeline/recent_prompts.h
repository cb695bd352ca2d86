#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include "brume/pipeline/prompt_encoder.h"

namespace brume {

/// The texts that one pipeline encoded last: pictures of a batch share their negative prompt, and often the
/// prompt. For one thread at a time.
class RecentPrompts {
 public:
  explicit RecentPrompts(size_t most = 16) : most_(most) {}

  /// All that says how a text is encoded.
  struct Key {
    std::string text;
    bool nothing = false;  // as encode_nothing does
    Compat compat{};
    int64_t clip_skip = 1;

    bool operator==(const Key&) const = default;
  };

  /// What `encode` makes of a text, or made of it when it was last asked for.
  EncodedPrompt encoded(const Key& key, const std::function<EncodedPrompt()>& encode);

 private:
  struct One {
    Key key;
    EncodedPrompt prompt;
  };
  size_t most_;
  std::list<One> last_;  // the one asked for last first
};

}  // namespace brume

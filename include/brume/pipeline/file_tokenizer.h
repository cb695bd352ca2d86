#pragma once
#include <filesystem>
#include <string>

#include "brume/text/tokenizer_texts.h"
#include "brume/weights/checkpoint.h"

namespace brume {

/// The tokenizer of a checkpoint of one file, which carries none: CLIP's `vocabulary` (a tokenizer directory)
/// as its family reads it. `part` is tokenizer or tokenizer_2. Throws kModelInvalid where there is no
/// vocabulary.
TokenizerTexts file_tokenizer(const Checkpoint& checkpoint, const std::string& part,
                              const std::filesystem::path& vocabulary);

}  // namespace brume

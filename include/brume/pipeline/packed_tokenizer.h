#pragma once
#include <string>

#include "brume/text/tokenizer_texts.h"
#include "brume/weights/packed_file.h"

namespace brume {

/// Under this name beside a tokenizer's files stands the mark that fills texts up, where they do not say it.
inline constexpr const char* kPadFile = "pad_token";

/// The tokenizer of a packed model. `part` is tokenizer or tokenizer_2.
TokenizerTexts packed_tokenizer(const PackedFile& file, const std::string& part);

}  // namespace brume

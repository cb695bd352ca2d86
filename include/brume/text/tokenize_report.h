#pragma once
#include <string>
#include <string_view>

#include "brume/text/tokenizer.h"

namespace brume {

/// One JSON object about `text`: "tokens" (each with its token, id and chunk, the window of max_length - 2
/// tokens it falls into), "ids" as the text encoder gets them, "chunks", "max_length", and "cut", the tokens
/// and the words that do not fit into the first window.
std::string tokenize_report(const Tokenizer& tokenizer, std::string_view text);

}  // namespace brume

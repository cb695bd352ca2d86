#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace brume {

/// What a tokenizer is made of: the texts of its files, wherever they lie.
struct TokenizerTexts {
  std::string where;                         // messages call a file WHERE/vocab.json
  std::map<std::string, std::string> files;  // by their names in a tokenizer directory
  std::optional<std::string> pad;            // the special token pad_token, whatever the files say
};

/// The longest text of a file, in bytes.
inline constexpr uint64_t kMaxTokenizerFile = uint64_t{64} << 20;

/// Those of a tokenizer directory that are there, and no longer than the limit. Throws kModelInvalid.
TokenizerTexts read_tokenizer_texts(const std::filesystem::path& directory,
                                    const std::optional<std::string>& pad = {});

}  // namespace brume

#include "brume/text/tokenizer_texts.h"

#include <array>
#include <system_error>

#include "brume/base/error.h"
#include "brume/base/file.h"

namespace brume {

namespace {

constexpr std::array<const char*, 6> kFiles{
    "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
    "added_tokens.json",     "vocab.json",     "merges.txt"};

}  // namespace

TokenizerTexts read_tokenizer_texts(const std::filesystem::path& directory,
                                    const std::optional<std::string>& pad) {
  TokenizerTexts texts{directory.string(), {}, pad};
  for (const char* name : kFiles) {
    const std::filesystem::path path = directory / name;
    std::error_code failed;  // then reading it says why
    if (!std::filesystem::exists(path, failed) && !failed) continue;
    texts.files.emplace(name, read_text_file(path, kMaxTokenizerFile, ExitCode::kModelInvalid));
  }
  return texts;
}

}  // namespace brume

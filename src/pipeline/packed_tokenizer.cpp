#include "brume/pipeline/packed_tokenizer.h"

#include <utility>

#include "brume/base/error.h"

namespace brume {

TokenizerTexts packed_tokenizer(const PackedFile& file, const std::string& part) {
  TokenizerTexts texts{file.where(part), file.texts_of(part), {}};
  if (auto pad = texts.files.extract(kPadFile)) texts.pad = std::move(pad.mapped());
  for (const auto& [name, text] : texts.files) {
    if (text.size() > kMaxTokenizerFile)
      throw Error(ExitCode::kModelInvalid, file.where(part + "/" + name),
                  "has " + std::to_string(text.size()) + " bytes, more than the limit of " +
                      std::to_string(kMaxTokenizerFile),
                  "convert the model again");
  }
  return texts;
}

}  // namespace brume

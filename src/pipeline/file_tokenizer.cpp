#include "brume/pipeline/file_tokenizer.h"

#include <system_error>

#include "brume/base/error.h"

namespace brume {

TokenizerTexts file_tokenizer(const Checkpoint& checkpoint, const std::string& part,
                              const std::filesystem::path& vocabulary) {
  std::error_code failed;
  if (!std::filesystem::exists(vocabulary / "vocab.json", failed))
    throw Error(ExitCode::kModelInvalid, vocabulary.string(),
                "CLIP's vocabulary is not there, and " + checkpoint.file()->path().filename().string() +
                    " carries none",
                "fetch it: tools/setup");
  // OpenCLIP fills a text up with the id 0, OpenAI's CLIP with its end mark.
  const bool open_clip = checkpoint.family().kind == CheckpointKind::kSd2 || part == "tokenizer_2";
  return open_clip ? read_tokenizer_texts(vocabulary, "!") : read_tokenizer_texts(vocabulary);
}

}  // namespace brume

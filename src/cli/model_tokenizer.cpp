#include "model_tokenizer.h"

#include <memory>
#include <system_error>

#include "brume/pipeline/file_tokenizer.h"
#include "brume/weights/checkpoint.h"
#include "brume/weights/tensor_file.h"
#include "shipped.h"

namespace brume::cli {

Tokenizer model_tokenizer(const std::filesystem::path& model) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(model, failed)) return Tokenizer::open(model / "tokenizer");
  const Checkpoint checkpoint(open_tensor_file(model));
  return file_tokenizer(checkpoint, "tokenizer", clip_vocabulary());
}

}  // namespace brume::cli

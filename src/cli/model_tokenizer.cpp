#include "model_tokenizer.h"

#include <memory>
#include <system_error>

#include "brume/pipeline/file_tokenizer.h"
#include "brume/pipeline/packed_tokenizer.h"
#include "brume/weights/checkpoint.h"
#include "brume/weights/packed_file.h"
#include "brume/weights/tensor_file.h"
#include "shipped.h"

namespace brume::cli {

std::vector<Tokenizer> model_tokenizers(const std::filesystem::path& model) {
  std::error_code failed;
  std::vector<Tokenizer> towers;
  if (!std::filesystem::is_regular_file(model, failed)) {
    towers.push_back(Tokenizer::open(model / "tokenizer"));
    if (std::filesystem::exists(model / "tokenizer_2", failed))
      towers.push_back(Tokenizer::open(model / "tokenizer_2"));
    return towers;
  }
  const std::shared_ptr<const TensorFile> file = open_tensor_file(model);
  if (PackedFile::recognises(file->header())) {
    const PackedFile packed(file);
    towers.emplace_back(packed_tokenizer(packed, "tokenizer"));
    if (!packed.texts_of("tokenizer_2").empty()) towers.emplace_back(packed_tokenizer(packed, "tokenizer_2"));
    return towers;
  }
  const Checkpoint checkpoint(file);
  towers.emplace_back(file_tokenizer(checkpoint, "tokenizer", clip_vocabulary()));
  if (checkpoint.family().kind == CheckpointKind::kSdXl)
    towers.emplace_back(file_tokenizer(checkpoint, "tokenizer_2", clip_vocabulary()));
  return towers;
}

}  // namespace brume::cli

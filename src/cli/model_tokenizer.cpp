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
    const bool second = std::filesystem::exists(model / "tokenizer_2", failed);
    // A refiner has the second alone.
    if (!second || std::filesystem::exists(model / "tokenizer", failed))
      towers.push_back(Tokenizer::open(model / "tokenizer"));
    if (second) towers.push_back(Tokenizer::open(model / "tokenizer_2"));
    return towers;
  }
  const std::shared_ptr<const TensorFile> file = open_tensor_file(model);
  if (PackedFile::recognises(file->header())) {
    const PackedFile packed(file);
    const bool second = !packed.texts_of("tokenizer_2").empty();
    if (!second || !packed.texts_of("tokenizer").empty())
      towers.emplace_back(packed_tokenizer(packed, "tokenizer"));
    if (second) towers.emplace_back(packed_tokenizer(packed, "tokenizer_2"));
    return towers;
  }
  const Checkpoint checkpoint(file);
  const CheckpointKind kind = checkpoint.family().kind;
  if (kind != CheckpointKind::kSdXlRefiner)
    towers.emplace_back(file_tokenizer(checkpoint, "tokenizer", clip_vocabulary()));
  if (kind == CheckpointKind::kSdXl || kind == CheckpointKind::kSdXlRefiner)
    towers.emplace_back(file_tokenizer(checkpoint, "tokenizer_2", clip_vocabulary()));
  return towers;
}

}  // namespace brume::cli

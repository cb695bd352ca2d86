#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "brume/weights/component_tensors.h"
#include "brume/weights/tensor_file.h"

namespace brume {

/// The vectors that a file has for one text encoder.
struct EmbeddingPart {
  std::string key;
  TensorPlace place;  // [vectors, width]

  uint64_t vectors() const { return place.shape[0]; }
  uint64_t width() const { return place.shape[1]; }
};

/// A textual-inversion embedding: A1111's .pt ("string_to_param"), or a .safetensors or torch.save file with
/// "emb_params", with "clip_l" and "clip_g" for SDXL, or with a lone tensor as diffusers writes it. Opened
/// and judged by its header; the vectors are not read.
class EmbeddingFile {
 public:
  /// Throws kModelInvalid for a file that is none, naming file and key.
  explicit EmbeddingFile(const std::filesystem::path& path);

  const std::shared_ptr<const TensorFile>& file() const { return file_; }
  /// One, or those of SDXL's first and second tower, which have as many vectors.
  const std::vector<EmbeddingPart>& parts() const { return parts_; }
  int64_t vectors() const { return static_cast<int64_t>(parts_.front().vectors()); }

 private:
  void take(const std::string& key);

  std::shared_ptr<const TensorFile> file_;
  std::vector<EmbeddingPart> parts_;
};

}  // namespace brume

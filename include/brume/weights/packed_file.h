#pragma once
#include <map>
#include <memory>
#include <string>

#include "brume/weights/component_tensors.h"
#include "brume/weights/packed_origin.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/tensor_file.h"

namespace brume {

/// What brume convert writes: a model directory (diffusers layout) in one .safetensors file. A tensor is
/// called by its component and its name there ("unet.conv_in.weight"); the texts of the directory's files
/// are metadata under their paths ("unet/config.json", "tokenizer/vocab.json"), and what the model comes from
/// (PackedOrigin) under kOriginKey, which tells such a file from others.
class PackedFile {
 public:
  static constexpr const char* kOriginKey = "brume.packed";

  static bool recognises(const SafetensorsHeader& header) { return header.metadata.contains(kOriginKey); }

  /// Throws kModelInvalid for a file that says nothing sound about its origin.
  explicit PackedFile(std::shared_ptr<const TensorFile> file);

  const std::shared_ptr<const TensorFile>& file() const { return file_; }
  const PackedOrigin& origin() const { return origin_; }

  /// The text of a file of the directory. Throws kModelInvalid where it is missing.
  const std::string& text(const std::string& name) const;
  /// Those of a folder, by their names in it.
  std::map<std::string, std::string> texts_of(const std::string& folder) const;
  /// The tensors of a component, by their names in it. Throws kModelInvalid where there are none.
  ComponentTensors component(const std::string& name) const;
  /// What messages call a part or a text: "FILE: unet".
  std::string where(const std::string& name) const;

 private:
  std::shared_ptr<const TensorFile> file_;
  PackedOrigin origin_;
};

}  // namespace brume

#pragma once
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "brume/pipeline/model_source.h"
#include "brume/weights/checkpoint.h"

namespace brume {

/// A checkpoint of one file in original naming. Its configurations are told from its tensors; its words are
/// read with CLIP's vocabulary, which such files do not carry.
class ModelFile : public ModelSource {
 public:
  /// `vocabulary` is a tokenizer directory. Throws kModelInvalid for a file that is no such checkpoint, and
  /// for one that brume cannot draw with, saying what it is.
  ModelFile(const std::shared_ptr<const Checkpoint>& checkpoint, std::filesystem::path vocabulary);

  ConfigFile config(const std::string& part) const override;
  std::string config_name(const std::string& part) const override { return checkpoint_->where(part); }
  Weights weights(const std::string& component) const override;
  TokenizerTexts tokenizer_texts(const std::string& part) const override;
  /// The whole file, whatever of it is drawn with.
  std::vector<NamedFile> files_but(const std::set<std::string>& components) const override;

 private:
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::filesystem::path vocabulary_;
};

}  // namespace brume

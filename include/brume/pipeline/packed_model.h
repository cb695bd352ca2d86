#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "brume/pipeline/model_source.h"
#include "brume/weights/packed_file.h"

namespace brume {

/// A model that brume convert wrote (PackedFile).
class PackedModel : public ModelSource {
 public:
  /// Throws kModelInvalid.
  explicit PackedModel(const std::shared_ptr<const PackedFile>& file);

  ConfigFile config(const std::string& part) const override;
  std::string config_name(const std::string& part) const override;
  Weights weights(const std::string& component) const override;
  TokenizerTexts tokenizer_texts(const std::string& part) const override;
  std::vector<NamedFile> files_but(const std::set<std::string>& /*components*/) const override {
    return {{"packed model", path()}};
  }
  const PackedOrigin* origin() const override { return &file_->origin(); }

 private:
  std::shared_ptr<const PackedFile> file_;
};

}  // namespace brume

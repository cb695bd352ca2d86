#pragma once
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "brume/pipeline/model_source.h"

namespace brume {

/// A model like another; only what a class below says otherwise is different.
class DerivedModel : public ModelSource {
 public:
  explicit DerivedModel(std::shared_ptr<const ModelSource> model)
      : ModelSource(model->facts()), model_(std::move(model)) {}

  ConfigFile config(const std::string& part) const override { return model_->config(part); }
  std::string config_name(const std::string& part) const override { return model_->config_name(part); }
  Weights weights(const std::string& component) const override { return model_->weights(component); }
  TokenizerTexts tokenizer_texts(const std::string& part) const override {
    return model_->tokenizer_texts(part);
  }
  std::vector<NamedFile> files_but(const std::set<std::string>& components) const override {
    return model_->files_but(components);
  }
  const PackedOrigin* origin() const override { return model_->origin(); }

 protected:
  const ModelSource& model() const { return *model_; }

 private:
  std::shared_ptr<const ModelSource> model_;
};

}  // namespace brume

#include "brume/pipeline/packed_model.h"

#include "brume/pipeline/packed_tokenizer.h"
#include "model_index.h"

namespace brume {

namespace {

ConfigFile config_of(const PackedFile& file, const std::string& name) {
  return ConfigFile(file.text(name), file.where(name));
}

ModelFacts facts_of(const PackedFile& file) {
  ModelFacts facts;
  facts.path = file.file()->path();
  facts.name = facts.path.stem().string();
  facts.defaults_file = file.where("brume.json");
  read_model_index(config_of(file, "model_index.json"), facts);
  read_model_defaults(config_of(file, "brume.json"), facts);
  return facts;
}

}  // namespace

PackedModel::PackedModel(const std::shared_ptr<const PackedFile>& file)
    : ModelSource(facts_of(*file)), file_(file) {}

ConfigFile PackedModel::config(const std::string& part) const {
  return config_of(*file_, config_path_of(part));
}

std::string PackedModel::config_name(const std::string& part) const {
  return file_->where(config_path_of(part));
}

Weights PackedModel::weights(const std::string& component) const {
  return Weights::part_of(file_->file(), file_->component(component), config_name(component));
}

TokenizerTexts PackedModel::tokenizer_texts(const std::string& part) const {
  return packed_tokenizer(*file_, part);
}

}  // namespace brume

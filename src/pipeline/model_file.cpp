#include "brume/pipeline/model_file.h"

#include <utility>

#include "brume/base/error.h"
#include "brume/pipeline/file_tokenizer.h"

namespace brume {

namespace {

ModelFamily family_of(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kSd1:
    case CheckpointKind::kSd2:
      return ModelFamily::kStableDiffusion;
    case CheckpointKind::kSdXl:
      return ModelFamily::kStableDiffusionXl;
    case CheckpointKind::kSdXlRefiner:
      return ModelFamily::kStableDiffusionXlRefiner;
  }
  return ModelFamily::kStableDiffusion;
}

ModelFacts facts_of(const Checkpoint& checkpoint) {
  const std::filesystem::path& path = checkpoint.file()->path();
  const CheckpointFamily& family = checkpoint.family();
  if (!family.refusal.empty())
    throw Error(ExitCode::kModelInvalid, path.string(), "is " + family.title + ": " + family.refusal,
                "use another model");
  ModelFacts facts;
  facts.path = path;
  facts.name = path.stem().string();
  facts.defaults_file = path;
  facts.family = family_of(family.kind);
  facts.zero_empty_negative = facts.family == ModelFamily::kStableDiffusionXl;
  facts.remarks = checkpoint.remarks();
  return facts;
}

}  // namespace

ModelFile::ModelFile(const std::shared_ptr<const Checkpoint>& checkpoint, std::filesystem::path vocabulary)
    : ModelSource(facts_of(*checkpoint)), checkpoint_(checkpoint), vocabulary_(std::move(vocabulary)) {}

ConfigFile ModelFile::config(const std::string& part) const {
  return ConfigFile(checkpoint_->config(part), config_name(part));
}

Weights ModelFile::weights(const std::string& component) const {
  return Weights::part_of(checkpoint_->file(), checkpoint_->component(component), config_name(component));
}

TokenizerTexts ModelFile::tokenizer_texts(const std::string& part) const {
  return file_tokenizer(*checkpoint_, part, vocabulary_);
}

std::vector<NamedFile> ModelFile::files_but(const std::set<std::string>& /*components*/) const {
  // The configurations come from the file itself.
  return {{"checkpoint", path()},
          {"vocab.json", vocabulary_ / "vocab.json"},
          {"merges.txt", vocabulary_ / "merges.txt"}};
}

}  // namespace brume

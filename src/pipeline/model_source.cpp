#include "brume/pipeline/model_source.h"

#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/pipeline/model_directory.h"
#include "brume/pipeline/model_file.h"
#include "brume/pipeline/packed_model.h"
#include "brume/weights/checkpoint.h"
#include "brume/weights/packed_file.h"
#include "brume/weights/tensor_file.h"
#include "other_component.h"

namespace brume {

namespace {

std::optional<std::string> config_text(const std::optional<Prediction>& prediction) {
  if (!prediction) return std::nullopt;
  return std::string(prediction_name(*prediction));
}

std::shared_ptr<const ModelSource> open_own(const std::filesystem::path& path, const ModelChoices& choices) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed))
    return std::make_shared<ModelDirectory>(path, choices.origin);
  std::shared_ptr<const TensorFile> file = open_tensor_file(path);
  if (PackedFile::recognises(file->header()))
    return std::make_shared<PackedModel>(std::make_shared<PackedFile>(std::move(file)));
  const auto checkpoint = std::make_shared<Checkpoint>(std::move(file), config_text(choices.prediction));
  return std::make_shared<ModelFile>(checkpoint, choices.vocabulary);
}

}  // namespace

std::vector<std::string> tower_suffixes(ModelFamily family) {
  switch (family) {
    case ModelFamily::kStableDiffusion:
      return {""};
    case ModelFamily::kStableDiffusionXl:
      return {"", "_2"};
    case ModelFamily::kStableDiffusionXlRefiner:
      return {"_2"};
  }
  return {};
}

std::shared_ptr<const ModelSource> open_model(const std::filesystem::path& path,
                                              const ModelChoices& choices) {
  std::shared_ptr<const ModelSource> model = open_own(path, choices);
  // In their order: what a UNet is told beside the words is that of the text encoders there will be.
  for (const auto& [component, place] : choices.components) model = with_component(model, component, place);
  return model;
}

}  // namespace brume

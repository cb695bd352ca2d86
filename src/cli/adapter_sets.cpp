#include "adapter_sets.h"

#include <cstddef>

#include "adapter_options.h"
#include "brume/base/error.h"
#include "brume/pipeline/request_recipe.h"
#include "brume/weights/adapters/adapter_choice.h"

namespace brume::cli {

namespace {

constexpr size_t kMostOpened = 100;  // a set keeps its files mapped

}  // namespace

AdapterSets::AdapterSets(const ModelConfig& model, const AdapterOptions& options)
    : model_(model), options_(options) {
  opened({});
}

std::vector<RecipeAdapter> AdapterSets::recipe(const Request& request) {
  return recipe_adapters(opened(request).get());
}

ModelConfig AdapterSets::adapted(const Request& request) {
  ModelConfig model = model_;
  if (const std::shared_ptr<const Adapters>& adapters = opened(request)) model.adapt(adapters);
  return model;
}

std::vector<std::string> AdapterSets::words(const Request& request) const {
  std::vector<std::string> words;
  for (const AdapterChoice& adapter : adapters_of(options_, request)) words.push_back(choice_text(adapter));
  return words;
}

const std::shared_ptr<const Adapters>& AdapterSets::opened(const Request& request) {
  const std::string tags = request.adapters ? request.adapters->adapters : "";
  const auto found = opened_.find(tags);
  if (found != opened_.end()) return found->second;
  if (opened_.size() >= kMostOpened) opened_.clear();
  try {
    return opened_.emplace(tags, open_adapters(model_, adapters_of(options_, request), options_))
        .first->second;
  } catch (const Error& error) {
    // A file that a prompt names spoils that job, and not the batch.
    if (error.code() != ExitCode::kModelInvalid || tags.empty()) throw;
    throw Error(ExitCode::kInputInvalid, tags, error.what());
  }
}

}  // namespace brume::cli

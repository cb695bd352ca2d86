#include "adapter_sets.h"

#include <algorithm>
#include <cstddef>
#include <utility>

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

bool AdapterSets::are_to_blame(const Error& error, const Request& request) const {
  if (error.code() != ExitCode::kModelInvalid || !request.adapters) return false;
  const auto is_named = [&](const AdapterChoice& adapter) { return error.names(adapter.file.string()); };
  const std::vector<AdapterChoice> all = adapters_of(options_, request);
  const auto of_the_prompt = all.begin() + static_cast<std::ptrdiff_t>(options_.loras.size());
  return std::none_of(all.begin(), of_the_prompt, is_named) &&
         std::any_of(of_the_prompt, all.end(), is_named);
}

const std::shared_ptr<const Adapters>& AdapterSets::opened(const Request& request) {
  const std::string tags = request.adapters ? request.adapters->adapters : "";
  AdapterOptions options = options_;
  options.strict = options.strict || request.reading.unread == Unread::kRefuse;
  const std::pair key(tags, options.strict);
  const auto found = opened_.find(key);
  if (found != opened_.end()) return found->second;
  if (opened_.size() >= kMostOpened) opened_.clear();
  try {
    std::shared_ptr<const Adapters> adapters = open_adapters(model_, adapters_of(options, request), options);
    return opened_.emplace(key, std::move(adapters)).first->second;
  } catch (const Error& error) {
    // A file that a prompt names spoils that job, and not the batch.
    const bool of_the_job = !tags.empty() || options.strict != options_.strict;
    if (error.code() != ExitCode::kModelInvalid || !of_the_job) throw;
    throw Error(ExitCode::kInputInvalid, tags.empty() ? "strict" : tags, error.what());
  }
}

}  // namespace brume::cli

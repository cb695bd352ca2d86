#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "brume/base/error.h"
#include "brume/image/recipe.h"
#include "brume/pipeline/model_config.h"
#include "brume/pipeline/request.h"
#include "brume/weights/adapters/adapters.h"
#include "engine_options.h"

namespace brume::cli {

/// The adapters that the prompts of a batch name, each set of them with those of the command line before it.
/// Not to be used by two threads at a time.
class AdapterSets {
 public:
  /// Throws what is wrong with those of the command line. Both must outlive the sets.
  AdapterSets(const ModelConfig& model, const AdapterOptions& options);

  /// What recipes say of a request's set. Throws kUsage or kInputInvalid where it cannot be found, read or
  /// merged into the model.
  std::vector<RecipeAdapter> recipe(const Request& request);
  /// The model that draws it.
  ModelConfig adapted(const Request& request);
  /// The set as the command line would have it: a word for each --lora.
  std::vector<std::string> words(const Request& request) const;
  /// Whether what loading the adapted model threw is the fault of an adapter that the request's prompt names,
  /// and of nothing that other requests have too.
  bool are_to_blame(const Error& error, const Request& request) const;

 private:
  const std::shared_ptr<const Adapters>& opened(const Request& request);

  const ModelConfig& model_;
  const AdapterOptions& options_;
  // By the tags, and whether tensors that fit nothing are refused.
  std::map<std::pair<std::string, bool>, std::shared_ptr<const Adapters>> opened_;
};

}  // namespace brume::cli

#include "adapter_options.h"

#include <memory>

#include "brume/base/error.h"
#include "brume/pipeline/embeddings.h"
#include "brume/pipeline/model_adapters.h"
#include "brume/text/adapter_tags.h"

namespace brume::cli {

std::vector<AdapterChoice> adapters_of(const AdapterOptions& options, const Request& request) {
  std::vector<AdapterChoice> choices;
  choices.reserve(options.loras.size());
  for (const std::string& lora : options.loras) choices.push_back(adapter_choice(lora));
  if (!request.adapters) return choices;
  if (options.directory.empty())
    throw Error(ExitCode::kInputInvalid, request.adapters->adapters,
                "there is no directory to look for it in", "name one with --lora-model-dir");
  for (const AdapterTag& tag : request.adapters->tags)
    choices.push_back(tagged_adapter(tag, options.directory));
  return choices;
}

std::shared_ptr<const Adapters> open_adapters(const ModelConfig& model,
                                              const std::vector<AdapterChoice>& adapters,
                                              const AdapterOptions& options) {
  if (adapters.empty()) return {};
  const UnmatchedKeys unmatched = options.strict ? UnmatchedKeys::kRefuse : UnmatchedKeys::kRemark;
  return brume::open_adapters(model.source(), adapters, unmatched);
}

void adapt(ModelConfig& model, const std::vector<AdapterChoice>& adapters, const AdapterOptions& options) {
  model.adapt(open_adapters(model, adapters, options));
}

void embed(ModelConfig& model, const EmbeddingOptions& options) {
  if (options.files.empty() && options.directory.empty()) return;
  std::vector<EmbeddingChoice> asked;
  asked.reserve(options.files.size());
  for (const std::string& file : options.files) asked.push_back(embedding_choice(file));
  const auto found =
      options.directory.empty() ? std::vector<EmbeddingChoice>() : embeddings_in(options.directory);
  model.embed(std::make_shared<const Embeddings>(model.source(), asked, found));
}

}  // namespace brume::cli

#pragma once
#include <memory>
#include <vector>

#include "brume/pipeline/model_config.h"
#include "brume/pipeline/request.h"
#include "brume/weights/adapters/adapter_choice.h"
#include "brume/weights/adapters/adapters.h"
#include "engine_options.h"

namespace brume::cli {

/// The adapters of the command line, and then those that a request's prompt names. Throws kUsage or
/// kInputInvalid for one that cannot be read or found.
std::vector<AdapterChoice> adapters_of(const AdapterOptions& options, const Request& request);

/// Opens them; null where there are none. Throws as Adapters does.
std::shared_ptr<const Adapters> open_adapters(const ModelConfig& model,
                                              const std::vector<AdapterChoice>& adapters,
                                              const AdapterOptions& options);

/// Has them merged into a model when it is loaded.
void adapt(ModelConfig& model, const std::vector<AdapterChoice>& adapters, const AdapterOptions& options);

/// Gives the model the embeddings of the command line. Throws as Embeddings does.
void embed(ModelConfig& model, const EmbeddingOptions& options);

}  // namespace brume::cli

#include "open_pipeline.h"

#include <utility>

#include "brume/base/tensor_memory.h"

namespace brume::cli {

Pipeline open_pipeline(ModelConfig model, at::ScalarType dtype) {
  Pipeline pipeline(std::move(model), dtype);
  give_back_tensor_memory();
  return pipeline;
}

}  // namespace brume::cli

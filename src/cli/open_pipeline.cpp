#include "open_pipeline.h"

#include <utility>

#include "brume/base/tensor_memory.h"

namespace brume::cli {

Pipeline open_pipeline(ModelConfig model, const Compute& compute) {
  Pipeline pipeline(std::move(model), compute.dtype, compute.gpu);
  give_back_tensor_memory();
  return pipeline;
}

}  // namespace brume::cli

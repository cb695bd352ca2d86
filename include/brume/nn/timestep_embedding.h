#pragma once
#include <ATen/core/Tensor.h>

#include "brume/nn/linear.h"
#include "brume/weights/weights.h"

namespace brume::nn {

/// Linear, SiLU, linear. Mirrors diffusers.models.embeddings.TimestepEmbedding.
class TimestepEmbedding {
 public:
  TimestepEmbedding(const WeightsView& weights, int64_t in, int64_t width);
  /// [..., in] -> [..., width]
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Linear linear1_;
  Linear linear2_;
};

}  // namespace brume::nn
